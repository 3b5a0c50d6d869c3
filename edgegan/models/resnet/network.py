"""The ResNet generator of CycleGAN and pix2pix (Zhu et al. 2017, after Johnson et al. 2016), dense or separable."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from edgegan.contracts.quantities import MOST_WIDTH, Layers, Width
from edgegan.errors import ConfigError
from edgegan.models.blocks import (
    FamilyNorm,
    Padding,
    ResidualBlock,
    check_written,
    global_branch,
    make_norm,
    parse_widths,
    scaled_widths,
)
from edgegan.models.lab import Colour, inner_channels, lightness, to_rgb
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm

Halving = Literal["strided", "blurred"]
Doubling = Literal["transposed", "blurred"]
MOST_HALVINGS: Final = 8


class ResnetSpec(Spec):
    """Every width of the generator. Heights and widths of images must be multiples of 2 to the number of halvings, and
    at least 16. As many halvings as there are widths in `up`."""

    WIDTHS = (
        WidthField("stem", "stem"),
        WidthField("down1", "down"),
        WidthField(r"between\.(\d+)", "between", 0),
        WidthField("down2", "trunk"),
        INNER,
        WidthField(r"up(\d+)", "up", -1),
    )
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    down: int = Field(
        128, ge=1, le=MOST_WIDTH, description="channels after the first of several halvings"
    )
    between: tuple[Width, ...] = Field(
        (), description="channels after each halving between the first and the last"
    )
    trunk: int = Field(256, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((256,) * 9, description="inner channels of each residual block")
    up: tuple[Width, ...] = Field(
        (128, 64),
        min_length=1,
        max_length=MOST_HALVINGS,
        description="channels after each doubling",
    )
    halving: Halving = Field(
        "strided",
        description="strided convolution, or (antialiased) one of stride 1 and a fixed blur of stride 2",
    )
    doubling: Doubling = Field(
        "transposed",
        description="transposed convolution, or (antialiased) a fixed doubling blur and a convolution",
    )
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: FamilyNorm = "instance"
    padding: Padding = Field("reflect", description="padding inside residual blocks")
    separable_norm: FamilyNorm | None = Field(
        None, description="norm between depthwise and pointwise; null: the same as norm"
    )
    trunk_norm: FamilyNorm | None = Field(
        None,
        description="norm of what is added to the trunk; null: the same as norm. GAN Slimming's generators: instance "
        "beside instance_affine",
    )
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="dropout inside residual blocks (training only)"
    )
    colour: Colour = Field(
        "rgb",
        description="what it was trained in: rgb (or grey), or lab, from lightness to a and b, RGB outside",
    )
    ending: Literal["tanh", "clamp"] = Field(
        "tanh", description="after the last convolution: tanh, or a cut to [-1, 1]"
    )
    residual: bool = Field(
        False, description="what it makes is added to its input, and the sum cut to [-1, 1]"
    )

    @model_validator(mode="after")
    def check_halvings(self) -> ResnetSpec:
        """A width for every halving but the first and the last; a picture that can be added to the input."""
        if len(self.between) != max(0, len(self.up) - 2):
            raise ValueError(f"between needs {max(0, len(self.up) - 2)} widths, two fewer than up")
        if self.residual and self.in_channels != self.out_channels:
            raise ValueError("residual needs as many channels in as out")
        return self

    @staticmethod
    def from_ngf(ngf: int, blocks: int = 9, halvings: int = 2, **other: object) -> ResnetSpec:
        """The published shape: ngf, 2 ngf, 4 ngf (and on, doubled at each halving), `blocks` residual blocks, and
        back to ngf."""
        wide = [ngf * 2**index for index in range(halvings + 1)]
        return ResnetSpec.model_validate(
            {
                "stem": ngf,
                "down": wide[1],
                "between": tuple(wide[2:-1]),
                "trunk": wide[-1],
                "inner": (wide[-1],) * blocks,
                "up": tuple(wide[-2::-1]),
                **other,
            }
        )

    @property
    def halvings(self) -> int:
        """How often height and width are halved, and doubled again."""
        return len(self.up)

    @property
    def stride(self) -> int:
        """What heights and widths must be multiples of."""
        return int(2**self.halvings)

    @property
    def min_size(self) -> int:
        """The smallest height and width: a trunk that can be padded by reflection."""
        return max(self.MIN_SIZE, 2 * self.stride)

    @staticmethod
    def from_config(config: str, *, legacy: bool = False, **other: object) -> ResnetSpec:
        """A sub-network of GAN Compression's nine-block mobile ResNet from its width config (Li et al. 2020).

        Eight integers: stem, half of down, quarter of the trunk, quarters of the inner widths of blocks 1-3, 4-6 and
        7-9, half of the first up width, the second. Six: one inner width for all blocks. `legacy`: the inner width is
        the trunk's except in blocks 1, 4 and 7 (the paper's edges2shoes net). Raises ConfigError.
        """
        c = parse_widths(config, (6,) if legacy else (6, 8))
        if len(c) == 8:
            inner = [c[3 + index // 3] for index in range(9)]
        else:
            inner = [c[3] if index % 3 == 0 or not legacy else c[2] for index in range(9)]
        return ResnetSpec.model_validate(
            {
                "stem": c[0],
                "down": 2 * c[1],
                "trunk": 4 * c[2],
                "inner": tuple(4 * width for width in inner),
                "up": (2 * c[-2], c[-1]),
                "block": "separable",
                **other,
            }
        )

    @classmethod
    def config_place(cls, group: str) -> tuple[int, int]:
        """One number for the inner width of every three blocks, one for each other width."""
        field, index = cls.place_of(group)
        if field == "inner":
            return 3 + (index or 0) // 3, 4
        return {
            "stem": (0, 1),
            "down": (1, 2),
            "trunk": (2, 4),
            "up": ((6, 2), (7, 1))[index or 0],
        }[field]

    def with_config(self, config: str) -> ResnetSpec:
        """The same generator with the widths of `from_config`; raises ConfigError unless it has nine blocks."""
        found = ResnetSpec.from_config(config)
        if len(self.inner) != len(found.inner):
            raise ConfigError(
                f"width config '{config}' is of {len(found.inner)} blocks, this generator has {len(self.inner)}"
            )
        return self.model_copy(update=found.width_values())

    def to_config(self) -> str:
        """The eight numbers "c0_..._c7" (Li et al. 2020), the inverse of `from_config`.

        Raises ConfigError when the widths are not of that form.
        """
        if self.halvings != 2:
            raise ConfigError("eight numbers are for two halvings; write the spec")
        inner = [self.inner[third * len(self.inner) // 3] // 4 for third in range(3)]
        ends = [self.up[0] // 2, self.up[1]]
        numbers = [self.stem, self.down // 2, self.trunk // 4, *inner, *ends]
        config = "_".join(map(str, numbers))
        check_written(self, ResnetSpec.from_config(config))
        return config

    def build(self) -> ResnetGenerator:
        """A generator of these widths with fresh weights."""
        return ResnetGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> ResnetSpec:
        """A uniformly narrower generator of the same depth: every width times `scale`."""
        return self.model_copy(
            update={
                **scaled_widths(self, scale, round_to),
                "block": block,
                "norm": norm,
                "separable_norm": None,
                "trunk_norm": None,
                "dropout": 0.0,
            }
        )


def blur() -> nn.Module:
    """Every second pixel of a picture blurred by [1 2 1] x [1 2 1] / 16, mirrored at its border (Zhang 2019): two means
    of 2x2 pixels are that filter, and have no weights."""
    return nn.Sequential(nn.ReflectionPad2d(1), nn.AvgPool2d(2, stride=1), nn.AvgPool2d(2))


def halve(before: int, after: int, halving: Halving) -> nn.Conv2d:
    """The convolution of a halving; a blurred one leaves the size to the blur behind it."""
    return nn.Conv2d(before, after, 3, stride=2 if halving == "strided" else 1, padding=1)


def double(before: int, after: int, doubling: Doubling) -> nn.Module:
    """The convolution of a doubling; a blurred one finds the size doubled."""
    if doubling == "blurred":
        return nn.Conv2d(before, after, 3, padding=1)
    return nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)


class ResnetGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of `spec.stride`.

    A doubling by [1 3 3 1] x [1 3 3 1] / 16 with its border repeated is bilinear interpolation at half-pixel centres.
    """

    def __init__(self, spec: ResnetSpec) -> None:
        super().__init__()
        norm = spec.norm
        self.stem_pad = nn.ReflectionPad2d(3)
        takes, makes = inner_channels(spec.colour, (spec.in_channels, spec.out_channels))
        self.lab = spec.colour == "lab"
        self.stem = nn.Conv2d(takes, spec.stem, 7)
        self.stem_norm = make_norm(norm, spec.stem)
        rows = [spec.stem, spec.down, *spec.between] if spec.halvings > 1 else [spec.stem]
        if spec.halvings > 1:
            self.down1 = halve(spec.stem, spec.down, spec.halving)
            self.down1_norm = make_norm(norm, spec.down)
        self.between = nn.ModuleList(
            halve(before, after, spec.halving) for before, after in pairwise(rows[1:])
        )
        self.between_norm = nn.ModuleList(make_norm(norm, width) for width in spec.between)
        self.down2 = halve(rows[-1], spec.trunk, spec.halving)
        self.down2_norm = make_norm(spec.trunk_norm or norm, spec.trunk)
        blurred = spec.halving == "blurred"
        self.down2_relu: nn.Module = nn.Sequential(nn.ReLU(), blur()) if blurred else nn.ReLU()
        self.blurs = nn.ModuleList(blur() for _ in range((spec.halvings - 1) * blurred))
        self.global_branch = global_branch(norm, spec.in_channels, spec.trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                spec.trunk,
                inner,
                spec.block,
                norm,
                dropout=spec.dropout,
                separable_norm=spec.separable_norm,
            )
            .set_padding(spec.padding)
            .set_outer_norm(spec.trunk_norm or norm)
            for inner in spec.inner
        )
        self.doublings: list[tuple[str, str]] = []
        for index, (before, after) in enumerate(pairwise((spec.trunk, *spec.up)), 1):
            self.add_module(f"up{index}", double(before, after, spec.doubling))
            self.add_module(f"up{index}_norm", make_norm(norm, after))
            self.doublings.append((f"up{index}", f"up{index}_norm"))
        self.enlarge = (
            nn.Upsample(scale_factor=2, mode="bilinear") if spec.doubling == "blurred" else None
        )
        self.head_pad = nn.ReflectionPad2d(3)
        self.head = nn.Conv2d(spec.up[-1], makes, 7)
        self.relu = nn.ReLU()
        self.tanh: nn.Module = nn.Tanh() if spec.ending == "tanh" else nn.Hardtanh()
        self.clamp = nn.Hardtanh() if spec.residual else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        light = lightness(x) if self.lab else x
        x = self.relu(self.stem_norm(self.stem(self.stem_pad(light))))
        if len(self.doublings) > 1:
            x = self.blurred(self.relu(self.down1_norm(self.down1(x))), 0)
        for place, (down, norm) in enumerate(zip(self.between, self.between_norm, strict=True), 1):
            x = self.blurred(self.relu(norm(down(x))), place)
        x = self.down2_relu(self.down2_norm(self.down2(x)))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        for up, up_norm in self.doublings:
            x = x if self.enlarge is None else self.enlarge(x)
            x = self.relu(self.get_submodule(up_norm)(self.get_submodule(up)(x)))
        made = self.tanh(self.head(self.head_pad(x)))
        made = to_rgb(light, made) if self.lab else made
        return made if self.clamp is None else self.clamp(image + made)

    def blurred(self, x: torch.Tensor, place: int) -> torch.Tensor:
        """What the blur of a halving but the last makes of it, where there is one."""
        return self.blurs[place](x) if len(self.blurs) else x

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: trunk entry and after each third of the blocks (GAN Compression 3.1)."""
        return tap_names(len(self.blocks))
