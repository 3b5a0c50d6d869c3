"""The fast style transfer net (Johnson, Alahi, Fei-Fei, ECCV 2016) with nearest-neighbour doubling and InstanceNorm.

The net was published for pixel values 0..255 in and out, without a last activation; ours takes and gives [-1, 1], the
same map with the change of range inside its first and last convolution.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.models.blocks import ResidualBlock, global_branch, make_norm, scaled_widths
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class TransformerSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 4 and at least 16."""

    WIDTHS = (
        WidthField(r"stem\.conv", "stem"),
        WidthField(r"down1\.conv", "down"),
        WidthField(r"down2\.conv", "trunk"),
        INNER,
        WidthField(r"up(\d)\.conv", "up", -1),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        32, ge=1, le=MOST_WIDTH, description="channels after the first 9x9 convolution"
    )
    down: int = Field(64, ge=1, le=MOST_WIDTH, description="channels after the first halving")
    trunk: int = Field(128, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((128,) * 5, description="inner channels of each residual block")
    up: tuple[Width, Width] = Field((64, 32), description="channels after each doubling")
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: Norm = "instance_affine"

    def build(self) -> TransformerGenerator:
        """A generator of these widths with fresh weights."""
        return TransformerGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> TransformerSpec:
        """A uniformly narrower generator of the same depth: every width times `scale`."""
        return self.model_copy(
            update={**scaled_widths(self, scale, round_to), "block": block, "norm": norm}
        )


class PaddedConv(nn.Module):
    """A convolution after the reflection padding that keeps its size, optionally after nearest-neighbour doubling."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        doubled: bool = False,
    ) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest") if doubled else nn.Identity()
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride), or 2 H and 2 W when doubled."""
        return self.conv(self.pad(self.enlarge(x)))


class TransformerGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) about [-1, 1], not clipped; H and W multiples of 4."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        norm = spec.norm
        self.stem = PaddedConv(spec.in_channels, spec.stem, 9)
        self.stem_norm = make_norm(norm, spec.stem)
        self.down1 = PaddedConv(spec.stem, spec.down, 3, stride=2)
        self.down1_norm = make_norm(norm, spec.down)
        self.down2 = PaddedConv(spec.down, spec.trunk, 3, stride=2)
        self.down2_norm = make_norm(norm, spec.trunk)
        self.down2_relu = nn.ReLU()
        self.global_branch = global_branch(norm, spec.in_channels, spec.trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(spec.trunk, inner, spec.block, norm) for inner in spec.inner
        )
        self.up1 = PaddedConv(spec.trunk, spec.up[0], 3, doubled=True)
        self.up1_norm = make_norm(norm, spec.up[0])
        self.up2 = PaddedConv(spec.up[0], spec.up[1], 3, doubled=True)
        self.up2_norm = make_norm(norm, spec.up[1])
        self.head = PaddedConv(spec.up[1], spec.out_channels, 9)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        x = self.relu(self.stem_norm(self.stem(x)))
        x = self.relu(self.down1_norm(self.down1(x)))
        x = self.down2_relu(self.down2_norm(self.down2(x)))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.up1_norm(self.up1(x)))
        x = self.relu(self.up2_norm(self.up2(x)))
        return self.head(x)

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled."""
        return tap_names(len(self.blocks))
