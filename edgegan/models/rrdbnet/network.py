"""The ESRGAN generator (Wang et al., ECCVW 2018): residual-in-residual dense blocks without norms, nearest-neighbour
doublings; in Real-ESRGAN's x2 and x1 forms the input is unshuffled first.

It was published for pictures in [0, 1]; ours takes and gives [-1, 1]: the input is brought to [0, 1] before the first
convolution, whose zero padding is black there, and the change of the output is in the last one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Width
from edgegan.models.blocks import refuse_separable, scaled_widths
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

SLOPE, SHARE = 0.2, 0.2


class RrdbSpec(Spec):
    """Every width; those inside the dense blocks are one number. The trunk works at the input's size divided by
    `unshuffle`, and makes pictures four times as large as that."""

    WIDTHS = (
        WidthField("conv_first", "trunk"),
        WidthField(r"body\.\d+\.rdb\d\.conv[1-4]", "grow"),
        WidthField(r"up(\d)", "up", -1),
        WidthField("conv_hr", "refine"),
    )
    MIN_SIZE = 8

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    trunk: int = Field(64, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    grow: int = Field(
        32, ge=1, le=MOST_WIDTH, description="channels of each inner convolution of dense blocks"
    )
    blocks: int = Field(23, ge=1, le=100, description="residual-in-residual dense blocks")
    up: tuple[Width, Width] = Field((64, 64), description="channels after each doubling")
    refine: int = Field(64, ge=1, le=MOST_WIDTH, description="channels before the last convolution")
    unshuffle: Literal[1, 2, 4] = Field(
        1, description="squares of the input that become channels: 4x, 2x and 1x nets"
    )
    norm: Literal["none"] = "none"

    @property
    def ratio(self) -> Fraction:
        """See Spec."""
        return Fraction(4, self.unshuffle)

    @property
    def stride(self) -> int:
        """See Spec."""
        return self.unshuffle

    def build(self) -> RrdbGenerator:
        """A generator of these widths with fresh weights."""
        return RrdbGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> RrdbSpec:
        """A uniformly narrower generator of the same depth; it has no norms."""
        del norm
        refuse_separable("rrdbnet", block)
        return self.model_copy(update=scaled_widths(self, scale, round_to))


class DenseBlock(nn.Module):
    """Five convolutions, each reading everything before it; a fifth of the last is added."""

    def __init__(self, trunk: int, grow: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(trunk, grow, 3, padding=1)
        self.conv2 = nn.Conv2d(trunk + grow, grow, 3, padding=1)
        self.conv3 = nn.Conv2d(trunk + 2 * grow, grow, 3, padding=1)
        self.conv4 = nn.Conv2d(trunk + 3 * grow, grow, 3, padding=1)
        self.conv5 = nn.Conv2d(trunk + 4 * grow, trunk, 3, padding=1)
        self.act = nn.LeakyReLU(SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, trunk, H, W) -> the same shape."""
        one = self.act(self.conv1(x))
        two = self.act(self.conv2(torch.cat([x, one], 1)))
        three = self.act(self.conv3(torch.cat([x, one, two], 1)))
        four = self.act(self.conv4(torch.cat([x, one, two, three], 1)))
        return x + self.conv5(torch.cat([x, one, two, three, four], 1)) * SHARE


class Rrdb(nn.Module):
    """Three dense blocks; a fifth of what they make is added."""

    def __init__(self, trunk: int, grow: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2 = DenseBlock(trunk, grow), DenseBlock(trunk, grow)
        self.rdb3 = DenseBlock(trunk, grow)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, trunk, H, W) -> the same shape."""
        return x + self.rdb3(self.rdb2(self.rdb1(x))) * SHARE


class RrdbGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, r H, r W) about [-1, 1], not clipped; r = 4 / unshuffle."""

    def __init__(self, spec: RrdbSpec) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(spec.unshuffle) if spec.unshuffle > 1 else nn.Identity()
        entries = spec.in_channels * spec.unshuffle**2
        self.conv_first = nn.Conv2d(entries, spec.trunk, 3, padding=1)
        self.body = nn.ModuleList(Rrdb(spec.trunk, spec.grow) for _ in range(spec.blocks))
        self.conv_body = nn.Conv2d(spec.trunk, spec.trunk, 3, padding=1)
        self.up1 = nn.Conv2d(spec.trunk, spec.up[0], 3, padding=1)
        self.up2 = nn.Conv2d(spec.up[0], spec.up[1], 3, padding=1)
        self.conv_hr = nn.Conv2d(spec.up[1], spec.refine, 3, padding=1)
        self.conv_last = nn.Conv2d(spec.refine, spec.out_channels, 3, padding=1)
        self.act = nn.LeakyReLU(SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        first = self.conv_first(self.unshuffle(x * 0.5 + 0.5))
        y = first
        for block in self.body:
            y = block(y)
        y = first + self.conv_body(y)
        y = self.act(self.up1(F.interpolate(y, scale_factor=2.0, mode="nearest")))
        y = self.act(self.up2(F.interpolate(y, scale_factor=2.0, mode="nearest")))
        return self.conv_last(self.act(self.conv_hr(y)))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: the blocks at each third, and the trunk's end."""
        count = len(self.body)
        ends = sorted({max(0, round(count * third / 3) - 1) for third in (1, 2, 3)})
        return [*(f"body.{index}" for index in ends), "conv_body"]
