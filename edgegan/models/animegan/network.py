"""The AnimeGANv2 generator (Chen, Liu, Chen 2020, second version): inverted residuals, norm over the whole map."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.models.blocks import AnyNorm, global_branch, make_norm, refuse_separable, scaled_widths
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class AnimeSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 4 and at least 16."""

    WIDTHS = (
        WidthField(r"stem\.conv", "stem"),
        WidthField(r"down1\.conv", "half", 0),
        WidthField(r"at_half\.conv", "half", 1),
        WidthField(r"down2\.conv", "quarter", 0),
        WidthField(r"at_quarter\.(\d)\.conv", "quarter", 1),
        WidthField(r"blocks\.(\d+)\.widen\.conv", "expanded", 0),
        WidthField(r"blocks\.0\.narrow", "trunk"),
        WidthField(r"narrow\.conv", "narrow"),
        WidthField(r"up1\.(\d)\.conv", "up1", -1),
        WidthField(r"up2\.(\d)\.conv", "up2", -1),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        32, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    half: tuple[Width, Width] = Field((64, 64), description="the two convolutions at half size")
    quarter: tuple[Width, Width, Width] = Field(
        (128, 128, 128), description="the three convolutions at a quarter of the size"
    )
    expanded: Layers = Field(
        (256, 512, 512, 512), min_length=1, description="inner channels of each inverted residual"
    )
    trunk: int = Field(
        256, ge=1, le=MOST_WIDTH, description="channels between the inverted residuals"
    )
    narrow: int = Field(128, ge=1, le=MOST_WIDTH, description="channels after them")
    up1: tuple[Width, Width] = Field((128, 128), description="after the first doubling")
    up2: tuple[Width, Width, Width] = Field(
        (64, 64, 32), description="after the second doubling; the last convolution is 7x7"
    )
    norm: AnyNorm = "layer"
    corners: bool = Field(
        True, description="bilinear doublings keep corner pixels in place; false: pixel centres"
    )

    def build(self) -> AnimeGenerator:
        """A generator of these widths with fresh weights."""
        return AnimeGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> AnimeSpec:
        """A uniformly narrower generator of the same depth; raises ConfigError for separable blocks (its residuals
        are depthwise already)."""
        refuse_separable("animegan", block)
        return self.model_copy(update={**scaled_widths(self, scale, round_to), "norm": norm})


class ConvNormAct(nn.Module):
    """Reflection padding, convolution, norm, LeakyReLU 0.2. A strided one pads right and bottom only."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        norm: AnyNorm,
        stride: int = 1,
        *,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        side = kernel // 2
        self.pad = nn.ReflectionPad2d((0, 1, 0, 1) if stride == 2 else side)
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            groups=in_channels if depthwise else 1,
            bias=depthwise,
        )
        self.norm = make_norm(norm, out_channels)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        return self.act(self.norm(self.conv(self.pad(x))))


class InvertedResidual(nn.Module):
    """Widen 1x1, depthwise 3x3, narrow 1x1, norm; the input is added where its width is the same."""

    def __init__(
        self, in_channels: int, expanded: int, out_channels: int, norm: AnyNorm, *, residual: bool
    ) -> None:
        super().__init__()
        self.widen = ConvNormAct(in_channels, expanded, 1, norm)
        self.depthwise = ConvNormAct(expanded, expanded, 3, norm, depthwise=True)
        self.narrow = nn.Conv2d(expanded, out_channels, 1, bias=False)
        self.norm = make_norm(norm, out_channels)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H, W)."""
        y = self.norm(self.narrow(self.depthwise(self.widen(x))))
        return x + y if self.residual else y


class AnimeGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4."""

    def __init__(self, spec: AnimeSpec) -> None:
        super().__init__()
        norm, quarter, half = spec.norm, spec.quarter, spec.half
        self.stem = ConvNormAct(spec.in_channels, spec.stem, 7, norm)
        self.down1 = ConvNormAct(spec.stem, half[0], 3, norm, stride=2)
        self.at_half = ConvNormAct(half[0], half[1], 3, norm)
        self.down2 = ConvNormAct(half[1], quarter[0], 3, norm, stride=2)
        self.at_quarter = nn.Sequential(
            ConvNormAct(quarter[0], quarter[1], 3, norm),
            ConvNormAct(quarter[1], quarter[2], 3, norm),
        )
        self.global_branch = global_branch(norm, spec.in_channels, quarter[2])
        self.blocks = nn.ModuleList(
            InvertedResidual(
                spec.trunk if index else quarter[2], width, spec.trunk, norm, residual=index > 0
            )
            for index, width in enumerate(spec.expanded)
        )
        self.narrow = ConvNormAct(spec.trunk, spec.narrow, 3, norm)
        self.up1 = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=spec.corners),
            ConvNormAct(spec.narrow, spec.up1[0], 3, norm),
            ConvNormAct(spec.up1[0], spec.up1[1], 3, norm),
        )
        self.up2 = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=spec.corners),
            ConvNormAct(spec.up1[1], spec.up2[0], 3, norm),
            ConvNormAct(spec.up2[0], spec.up2[1], 3, norm),
            ConvNormAct(spec.up2[1], spec.up2[2], 7, norm),
        )
        self.head = nn.Conv2d(spec.up2[2], spec.out_channels, 1, bias=False)
        self.tanh = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        x = self.at_quarter(self.down2(self.at_half(self.down1(self.stem(x)))))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        return self.tanh(self.head(self.up2(self.up1(self.narrow(x)))))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: both ends of the trunk, and the first doubling."""
        return ["at_quarter", *(f"blocks.{i}" for i in {0, len(self.blocks) - 1}), "up1"]
