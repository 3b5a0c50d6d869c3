"""The U-GAT-IT generator (Kim et al., ICLR 2020): an encoder with InstanceNorm, attention, a decoder whose norms mix
InstanceNorm and LayerNorm and take their scale and shift from the whole picture (AdaLIN).

Attention multiplies each channel by a number that does not depend on the picture, and a 1x1 convolution follows: the
two are one convolution here.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.models.blocks import (
    FamilyNorm,
    ResidualBlock,
    block_conv,
    global_branch,
    make_norm,
    scaled_widths,
)
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

Adaptive = Literal["full", "light", "none"]
EPS = 1e-5


class UgatitSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 4 and at least 16; with `adaptive` "full" they are
    `side` only."""

    WIDTHS = (
        WidthField("stem", "stem"),
        WidthField("down1", "down"),
        WidthField("down2", "trunk"),
        INNER,
        WidthField("attention", "turned"),
        WidthField(r"hidden(\d)", "hidden", -1),
        WidthField(r"decoder\.(\d+)\.conv1(?:\.pointwise)?", "decoded", 0),
        WidthField(r"up(\d)\.conv", "up", -1),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    down: int = Field(128, ge=1, le=MOST_WIDTH, description="channels after the first halving")
    trunk: int = Field(256, ge=1, le=MOST_WIDTH, description="channels of the encoder's trunk")
    inner: Layers = Field((256,) * 4, description="inner channels of each encoder block")
    turned: int = Field(
        256, ge=1, le=MOST_WIDTH, description="channels after the attention, of the decoder's trunk"
    )
    hidden: tuple[Width, Width] = Field(
        (256, 256), description="channels from which the decoder's scale and shift are computed"
    )
    decoded: Layers = Field(
        (256,) * 4,
        description="inner channels of each decoder block; those of its trunk where its norms are adaptive",
    )
    up: tuple[Width, Width] = Field((128, 64), description="channels after each doubling")
    adaptive: Adaptive = Field(
        "full",
        description="scale and shift of the decoder's norms: from every pixel of the trunk, from its means (light), "
        "or none, with the plain norm in the whole decoder",
    )
    side: int = Field(
        256, ge=16, le=4096, description="height and width that a full generator is made for"
    )
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: FamilyNorm = "instance"

    @model_validator(mode="after")
    def check_side(self) -> UgatitSpec:
        """A full generator's side is a multiple of 4."""
        if self.side % self.STRIDE:
            raise ValueError(f"side must be a multiple of {self.STRIDE}")
        return self

    @staticmethod
    def from_channels(channels: int, blocks: int = 4, **other: object) -> UgatitSpec:
        """The published shape: `channels`, twice and four times as many, and back; as many blocks on both sides."""
        wide = 4 * channels
        return UgatitSpec.model_validate(
            {
                "stem": channels,
                "down": 2 * channels,
                "trunk": wide,
                "inner": (wide,) * blocks,
                "turned": wide,
                "hidden": (wide, wide),
                "decoded": (wide,) * blocks,
                "up": (2 * channels, channels),
                **other,
            }
        )

    @property
    def size(self) -> tuple[int, int] | None:
        """See Spec."""
        return (self.side, self.side) if self.adaptive == "full" else None

    def build(self) -> UgatitGenerator:
        """A generator of these widths with fresh weights."""
        return UgatitGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> UgatitSpec:
        """A uniformly narrower generator of the same depth. With InstanceNorm it keeps adaptive norms in their light
        form; with BatchNorm, which a device folds away, the decoder has it too."""
        plain = self.adaptive == "none" or norm.startswith("batch")
        return self.model_copy(
            update={
                **scaled_widths(self, scale, round_to),
                "block": block,
                "norm": norm,
                "adaptive": "none" if plain else "light",
            }
        )


class LayerInstanceNorm(nn.Module):
    """rho of InstanceNorm and 1 - rho of LayerNorm, both by the unbiased deviation, a scale and a shift (equation 1
    of the paper). One multiplication and one sum a pixel: the statistics are joined before."""

    along = "rho"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((channels, 1, 1), 0.5))
        self.live: torch.Tensor | None = None

    def leave_out(self, live: torch.Tensor) -> None:
        """Takes the whole's statistics of the channels that are `live` (C,) alone, as a network without the others
        does."""
        self.live = live

    def forward(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), and (N, C, 1, 1) or (C, 1, 1) twice -> (N, C, H, W)."""
        seen = x if self.live is None else x[:, self.live.to(x.device)]
        mean, whole_mean = x.mean((2, 3), keepdim=True), seen.mean((1, 2, 3), keepdim=True)
        own = self.rho / torch.sqrt(x.var((2, 3), keepdim=True) + EPS)
        whole = (1 - self.rho) / torch.sqrt(seen.var((1, 2, 3), keepdim=True) + EPS)
        return x * ((own + whole) * scale) + (shift - (own * mean + whole * whole_mean) * scale)


class ScaledNorm(LayerInstanceNorm):
    """The same with a scale and a shift of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, C, H, W) -> the same shape."""
        return super().forward(x, self.scale, self.shift)


class AdaptiveBlock(nn.Module):
    """x + norm(conv(pad(relu(norm(conv(pad(x))))))), both norms scaled and shifted from outside."""

    def __init__(self, trunk: int, block: Block, norm: FamilyNorm) -> None:
        super().__init__()
        self.pad1 = nn.ReflectionPad2d(1)
        self.conv1 = block_conv(block, trunk, trunk, norm, EPS)
        self.norm1 = LayerInstanceNorm(trunk)
        self.relu = nn.ReLU()
        self.pad2 = nn.ReflectionPad2d(1)
        self.conv2 = block_conv(block, trunk, trunk, norm, EPS)
        self.norm2 = LayerInstanceNorm(trunk)

    def forward(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """(N, trunk, H, W) and (N, trunk, 1, 1) twice -> (N, trunk, H, W)."""
        y = self.relu(self.norm1(self.conv1(self.pad1(x)), scale, shift))
        return x + self.norm2(self.conv2(self.pad2(y)), scale, shift)


class Enlarging(nn.Module):
    """Nearest-neighbour doubling, reflection padding, convolution, norm, ReLU."""

    def __init__(self, before: int, after: int, adaptive: Adaptive, norm: FamilyNorm) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(before, after, 3)
        self.norm = make_norm(norm, after) if adaptive == "none" else ScaledNorm(after)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, before, H, W) -> (N, after, 2 H, 2 W)."""
        return self.relu(self.norm(self.conv(self.pad(self.enlarge(x)))))


class UgatitGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4, or `side` for a full one."""

    def __init__(self, spec: UgatitSpec) -> None:
        super().__init__()
        norm, block = spec.norm, spec.block
        self.stem_pad = nn.ReflectionPad2d(3)
        self.stem = nn.Conv2d(spec.in_channels, spec.stem, 7)
        self.stem_norm = make_norm(norm, spec.stem)
        self.down1_pad, self.down2_pad = nn.ReflectionPad2d(1), nn.ReflectionPad2d(1)
        self.down1 = nn.Conv2d(spec.stem, spec.down, 3, stride=2)
        self.down1_norm = make_norm(norm, spec.down)
        self.down2 = nn.Conv2d(spec.down, spec.trunk, 3, stride=2)
        self.down2_norm = make_norm(norm, spec.trunk)
        self.down2_relu, self.relu, self.tanh = nn.ReLU(), nn.ReLU(), nn.Tanh()
        self.global_branch = global_branch(norm, spec.in_channels, spec.trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(spec.trunk, inner, block, norm) for inner in spec.inner
        )
        self.attention = nn.Conv2d(spec.trunk, spec.turned, 1)
        self.adaptive = spec.adaptive != "none"
        if self.adaptive:
            side = spec.side // spec.STRIDE if spec.adaptive == "full" else 1
            self.pooled = nn.AdaptiveAvgPool2d(1) if side == 1 else nn.Identity()
            self.hidden1 = nn.Conv2d(spec.turned, spec.hidden[0], side, bias=False)
            self.hidden2 = nn.Conv2d(*spec.hidden, 1, bias=False)
            self.scale = nn.Conv2d(spec.hidden[1], spec.turned, 1, bias=False)
            self.shift = nn.Conv2d(spec.hidden[1], spec.turned, 1, bias=False)
        self.decoder = nn.ModuleList(
            AdaptiveBlock(spec.turned, block, norm)
            if self.adaptive
            else ResidualBlock(spec.turned, inner, block, norm)
            for inner in spec.decoded
        )
        self.up1 = Enlarging(spec.turned, spec.up[0], spec.adaptive, norm)
        self.up2 = Enlarging(*spec.up, spec.adaptive, norm)
        self.head_pad = nn.ReflectionPad2d(3)
        self.head = nn.Conv2d(spec.up[1], spec.out_channels, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        x = self.relu(self.stem_norm(self.stem(self.stem_pad(x))))
        x = self.relu(self.down1_norm(self.down1(self.down1_pad(x))))
        x = self.down2_relu(self.down2_norm(self.down2(self.down2_pad(x))))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.attention(x))
        if self.adaptive:
            seen = self.relu(self.hidden1(self.pooled(x)))
            seen = self.relu(self.hidden2(seen))
            scale, shift = self.scale(seen), self.shift(seen)
            for block in self.decoder:
                x = block(x, scale, shift)
        else:
            for block in self.decoder:
                x = block(x)
        return self.tanh(self.head(self.head_pad(self.up2(self.up1(x)))))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: the encoder as `tap_names` has it, and the last decoder block."""
        last = [f"decoder.{len(self.decoder) - 1}"] if len(self.decoder) else []
        return [*tap_names(len(self.blocks)), *last]
