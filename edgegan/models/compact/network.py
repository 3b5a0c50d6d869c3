"""The compact generator of Real-ESRGAN (Wang et al., ICCVW 2021): a row of 3x3 convolutions at the small size, one
pixel shuffle, and the enlarged input added.

It was published for pictures in [0, 1]; ours takes and gives [-1, 1]: the input is brought to [0, 1] before the first
convolution, whose zero padding is black there, and the factor two of the output is in the last one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers
from edgegan.models.blocks import refuse_separable, scaled_widths
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

Activation = Literal["prelu", "relu", "leaky_relu"]


class CompactSpec(Spec):
    """Every width. Pictures of any size become `upscale` times as large."""

    WIDTHS = (WidthField(r"convs\.(\d+)", "convs", 0),)
    MIN_SIZE = 4

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    convs: Layers = Field(
        (64,) * 17, min_length=1, description="channels after each convolution but the last"
    )
    upscale: int = Field(4, ge=1, le=8, description="sides of the output to those of the input")
    activation: Activation = Field("prelu", description="after each convolution but the last")
    norm: Literal["none"] = "none"

    @model_validator(mode="after")
    def check(self) -> CompactSpec:
        """The enlarged input is added to the output."""
        if self.in_channels != self.out_channels:
            raise ValueError("a compact net makes as many channels as it takes")
        return self

    @property
    def ratio(self) -> Fraction:
        """See Spec."""
        return Fraction(self.upscale)

    def build(self) -> CompactGenerator:
        """A generator of these widths with fresh weights."""
        return CompactGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> CompactSpec:
        """A uniformly narrower generator of the same depth; it has no norms."""
        del norm
        refuse_separable("compact", block)
        return self.model_copy(update=scaled_widths(self, scale, round_to))


def make_activation(kind: Activation, channels: int) -> nn.Module:
    """PReLU with a slope a channel, ReLU, or leaky ReLU of slope 0.1."""
    if kind == "prelu":
        return nn.PReLU(channels)
    return nn.ReLU() if kind == "relu" else nn.LeakyReLU(0.1)


class CompactGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, r H, r W) about [-1, 1], not clipped."""

    def __init__(self, spec: CompactSpec) -> None:
        super().__init__()
        widths = (spec.in_channels, *spec.convs)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in zip(widths, spec.convs, strict=False)
        )
        self.activations = nn.ModuleList(
            make_activation(spec.activation, width) for width in spec.convs
        )
        self.upscale = spec.upscale
        self.head = nn.Conv2d(widths[-1], spec.out_channels * spec.upscale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(spec.upscale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        y = x * 0.5 + 0.5
        for convolution, activation in zip(self.convs, self.activations, strict=True):
            y = activation(convolution(y))
        base = F.interpolate(x, scale_factor=float(self.upscale), mode="nearest")
        return self.shuffle(self.head(y)) + base

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: activations at each quarter of the row."""
        count = len(self.activations)
        ends = sorted({max(0, round(count * quarter / 4) - 1) for quarter in (1, 2, 3, 4)})
        return [f"activations.{index}" for index in ends]
