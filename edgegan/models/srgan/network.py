"""The SRGAN generator (Ledig et al., CVPR 2017) as Fast-SRGAN publishes it: eight residual blocks, InstanceNorm, one
slope for each PReLU, sub-pixel convolutions; pictures in [-1, 1]."""

from __future__ import annotations

from fractions import Fraction

import torch
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers
from edgegan.models.blocks import AnyNorm, SeparableConv, make_norm, refuse_global, scaled_widths
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class SrganSpec(Spec):
    """Every width. Pictures of any size from 8 up become 2 ** (number of `up`) times as large."""

    WIDTHS = (
        WidthField("neck", "trunk"),
        WidthField(r"blocks\.(\d+)\.conv1(?:\.pointwise)?", "inner", 0),
        WidthField(r"up\.(\d)\.conv", "up", 0),
    )
    MIN_SIZE = 8

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    trunk: int = Field(64, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((64,) * 8, description="inner channels of each residual block")
    up: Layers = Field(
        (64, 64), max_length=4, description="channels after each doubling, as many as there are"
    )
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: Norm = "instance"

    @property
    def ratio(self) -> Fraction:
        """See Spec."""
        return Fraction(2 ** len(self.up))

    def build(self) -> SrganGenerator:
        """A generator of these widths with fresh weights."""
        return SrganGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> SrganSpec:
        """A uniformly narrower generator of the same depth: every width times `scale`."""
        refuse_global("srgan", norm)
        return self.model_copy(
            update={**scaled_widths(self, scale, round_to), "block": block, "norm": norm}
        )


def conv(block: Block, in_channels: int, out_channels: int, norm: AnyNorm) -> nn.Module:
    """The 3x3 convolution of a residual block, zero-padded; dense without bias, or separable."""
    if block == "separable":
        return SeparableConv(in_channels, out_channels, norm, padding=1)
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)


class SrganBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, trunk: int, inner: int, block: Block, norm: AnyNorm) -> None:
        super().__init__()
        self.conv1 = conv(block, trunk, inner, norm)
        self.norm1 = make_norm(norm, inner)
        self.prelu = nn.PReLU()
        self.conv2 = conv(block, inner, trunk, norm)
        self.norm2 = make_norm(norm, trunk)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, trunk, H, W) -> the same shape."""
        return x + self.norm2(self.conv2(self.prelu(self.norm1(self.conv1(x)))))


class Doubling(nn.Module):
    """A convolution to four times the channels, which become twice the height and width, and a PReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * 4, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.prelu = nn.PReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, 2 H, 2 W)."""
        return self.prelu(self.shuffle(self.conv(x)))


class SrganGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, r H, r W) in [-1, 1], r = 2 ** doublings."""

    def __init__(self, spec: SrganSpec) -> None:
        super().__init__()
        self.neck = nn.Conv2d(spec.in_channels, spec.trunk, 3, padding=1)
        self.neck_prelu = nn.PReLU()
        self.blocks = nn.ModuleList(
            SrganBlock(spec.trunk, inner, spec.block, spec.norm) for inner in spec.inner
        )
        self.bottleneck = nn.Conv2d(spec.trunk, spec.trunk, 3, padding=1, bias=False)
        self.bottleneck_norm = make_norm(spec.norm, spec.trunk)
        widths = (spec.trunk, *spec.up)
        self.up = nn.ModuleList(
            Doubling(before, after) for before, after in zip(widths, spec.up, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], spec.out_channels, 3, padding=1)
        self.tanh = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        neck = self.neck_prelu(self.neck(x))
        x = neck
        for block in self.blocks:
            x = block(x)
        x = self.bottleneck_norm(self.bottleneck(x)) + neck
        for doubling in self.up:
            x = doubling(x)
        return self.tanh(self.head(x))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: the entry, the blocks at each third, the trunk's end."""
        count = len(self.blocks)
        ends = (
            sorted({max(0, round(count * third / 3) - 1) for third in (1, 2, 3)}) if count else []
        )
        return ["neck_prelu", *(f"blocks.{index}" for index in ends)]
