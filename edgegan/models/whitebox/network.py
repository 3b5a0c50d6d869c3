"""The generator of white-box cartoonisation (Wang, Yu, CVPR 2020): two halvings, residual blocks, bilinear doublings
that are added to what came before the halvings, leaky ReLUs and no norms."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.models.blocks import PADS, Padding, ResidualBlock, refuse_global, scaled_widths
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

SLOPE = 0.2


class WhiteboxSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 4 and at least 16."""

    WIDTHS = (
        WidthField(r"stem\.conv", "stem"),
        WidthField(r"halve(\d)\.conv", "halved", -1),
        WidthField(r"wide1\.conv", "half"),
        WidthField(r"wide2\.conv", "trunk"),
        WidthField(INNER.groups, "inner", 0),
        WidthField(r"refine\.conv", "refined"),
        WidthField(r"last\.conv", "last"),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        32, ge=1, le=MOST_WIDTH, description="channels at the full size, those that a sum joins"
    )
    halved: tuple[Width, Width] = Field(
        (32, 64), description="channels of the two convolutions that halve"
    )
    half: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels at half the size, those that a sum joins"
    )
    trunk: int = Field(128, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((128,) * 4, description="inner channels of each residual block")
    refined: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels of the first convolution after the first sum"
    )
    last: int = Field(32, ge=1, le=MOST_WIDTH, description="channels before the last convolution")
    padding: Padding = Field("zero", description="padding of every convolution")
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: Literal["none"] = "none"
    corners: bool = Field(
        False, description="bilinear doublings keep corner pixels in place; false: pixel centres"
    )

    def build(self) -> WhiteboxGenerator:
        """A generator of these widths with fresh weights."""
        return WhiteboxGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> WhiteboxSpec:
        """A uniformly narrower generator of the same depth; it has no norms."""
        refuse_global("whitebox", norm)
        return self.model_copy(update={**scaled_widths(self, scale, round_to), "block": block})


class ConvAct(nn.Module):
    """A convolution that is padded to keep its size, and a leaky ReLU; nothing behind the last."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        padding: Padding,
        stride: int = 1,
        *,
        active: bool = True,
    ) -> None:
        super().__init__()
        side = kernel // 2
        self.pad = nn.Identity() if padding == "zero" else PADS[padding](side)
        zeros = side if padding == "zero" else 0
        self.conv = nn.Conv2d(before, after, kernel, stride=stride, padding=zeros)
        self.act = nn.LeakyReLU(SLOPE) if active else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, before, H, W) -> (N, after, H / stride, W / stride)."""
        return self.act(self.conv(self.pad(x)))


class WhiteboxGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4."""

    def __init__(self, spec: WhiteboxSpec) -> None:
        super().__init__()
        padding = spec.padding
        self.stem = ConvAct(spec.in_channels, spec.stem, 7, padding)
        self.halve1 = ConvAct(spec.stem, spec.halved[0], 3, padding, stride=2)
        self.wide1 = ConvAct(spec.halved[0], spec.half, 3, padding)
        self.halve2 = ConvAct(spec.half, spec.halved[1], 3, padding, stride=2)
        self.wide2 = ConvAct(spec.halved[1], spec.trunk, 3, padding)
        self.blocks = nn.ModuleList(
            ResidualBlock(spec.trunk, inner, spec.block, "none").set_padding(padding)
            for inner in spec.inner
        )
        for block in self.blocks:
            block.relu = nn.LeakyReLU(SLOPE)
        self.narrow = ConvAct(spec.trunk, spec.half, 3, padding)
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=spec.corners)
        self.refine = ConvAct(spec.half, spec.refined, 3, padding)
        self.join = ConvAct(spec.refined, spec.stem, 3, padding)
        self.last = ConvAct(spec.stem, spec.last, 3, padding)
        self.head = ConvAct(spec.last, spec.out_channels, 7, padding, active=False)
        self.tanh = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        whole = self.stem(x)
        half = self.wide1(self.halve1(whole))
        x = self.wide2(self.halve2(half))
        for block in self.blocks:
            x = block(x)
        x = self.enlarge(self.narrow(x)) + half
        x = self.enlarge(self.join(self.refine(x))) + whole
        return self.tanh(self.head(self.last(x)))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: the trunk's entry and the blocks at each third."""
        return ["wide2", *tap_names(len(self.blocks))[1:]]
