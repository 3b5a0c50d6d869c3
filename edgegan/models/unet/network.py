"""The U-Net generator of pix2pix (Isola et al. 2017, appendix 6.1.1): halvings, doublings, a skip at every size."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers
from edgegan.models.blocks import (
    FamilyNorm,
    make_norm,
    refuse_global,
    refuse_separable,
    scaled_widths,
)
from edgegan.models.lab import Colour, inner_channels, lightness, to_rgb
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class UnetSpec(Spec):
    """Every width. Heights and widths of images must be multiples of 2 to the number of halvings."""

    WIDTHS = (
        WidthField(r"down\.(\d+)", "down", 0),
        WidthField(r"up\.(\d+)", "up", 0),
    )

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    down: Layers = Field(
        (64, 128, 256, 512, 512, 512, 512, 512),
        min_length=2,
        description="channels after each halving",
    )
    up: Layers = Field(
        (512, 512, 512, 512, 256, 128, 64),
        min_length=1,
        description="channels after each doubling but the last, deepest first, before the skip joins",
    )
    colour: Colour = Field(
        "rgb",
        description="what it was trained in: rgb (or grey), or lab, from lightness to a and b, RGB outside",
    )
    norm: FamilyNorm = "batch"
    ending: Literal["tanh", "clamp"] = Field(
        "tanh", description="after the last convolution: tanh, or a cut to [-1, 1]"
    )
    dropout: float = Field(
        0.5, ge=0.0, lt=1.0, description="dropout after the doublings next to the deepest"
    )

    @model_validator(mode="after")
    def check_depth(self) -> UnetSpec:
        """One doubling for every halving."""
        if len(self.up) != len(self.down) - 1:
            raise ValueError(f"up needs {len(self.down) - 1} widths, one fewer than down")
        return self

    @staticmethod
    def from_ngf(ngf: int, halvings: int = 8, **other: object) -> UnetSpec:
        """The published shape: unet_256 has 8 halvings, unet_128 has 7."""
        down = tuple(ngf * min(2**index, 8) for index in range(halvings))
        return UnetSpec.model_validate({"down": down, "up": down[-2::-1], **other})

    @property
    def stride(self) -> int:
        """What heights and widths must be multiples of."""
        return int(2 ** len(self.down))

    @property
    def min_size(self) -> int:
        """The smallest height and width: one pixel at the deepest level."""
        return self.stride

    def build(self) -> UnetGenerator:
        """A generator of these widths with fresh weights."""
        return UnetGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> UnetSpec:
        """A uniformly narrower generator of the same depth without dropout; raises ConfigError for separable blocks."""
        refuse_separable("unet", block)
        refuse_global("unet", norm)
        return self.model_copy(
            update={
                **scaled_widths(self, scale, round_to),
                "norm": norm,
                "dropout": 0.0,
            }
        )


class UnetGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of `spec.stride`."""

    def __init__(self, spec: UnetSpec) -> None:
        super().__init__()
        depth, bias = len(spec.down), spec.norm != "batch"
        takes, makes = inner_channels(spec.colour, (spec.in_channels, spec.out_channels))
        self.lab = spec.colour == "lab"
        inputs = (takes, *spec.down[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias)
            for before, after in zip(inputs, spec.down, strict=True)
        )
        self.down_norm = nn.ModuleList(
            make_norm(spec.norm, width) if 0 < level < depth - 1 else nn.Identity()
            for level, width in enumerate(spec.down)
        )
        deeper = (
            spec.down[-1],
            *(u + s for u, s in zip(spec.up, spec.down[-2::-1], strict=True)),
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
            for before, after in zip(deeper, spec.up, strict=False)
        )
        self.up_norm = nn.ModuleList(make_norm(spec.norm, width) for width in spec.up)
        self.dropout = nn.ModuleList(
            nn.Dropout(spec.dropout if 0 < level < depth - 4 else 0.0) for level in range(depth - 1)
        )
        self.head = nn.ConvTranspose2d(deeper[-1], makes, 4, stride=2, padding=1)
        self.leaky = nn.LeakyReLU(0.2)
        self.relu = nn.ReLU()
        self.tanh: nn.Module = nn.Tanh() if spec.ending == "tanh" else nn.Hardtanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        light = lightness(x) if self.lab else x
        x = light
        skips: list[torch.Tensor] = []
        for level, (down, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = norm(down(self.leaky(x) if level else x))
            skips.append(x)
        x = skips.pop()
        for up, norm, dropout in zip(self.up, self.up_norm, self.dropout, strict=True):
            x = torch.cat([skips.pop(), dropout(norm(up(self.relu(x))))], dim=1)
        made = self.tanh(self.head(self.relu(x)))
        return to_rgb(light, made) if self.lab else made

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: the way down at an eighth, the way up at an eighth, a quarter, half."""
        deepest = len(self.up)
        return [
            f"down_norm.{min(2, deepest - 1)}",
            *(f"up_norm.{index}" for index in range(max(0, deepest - 3), deepest)),
        ]
