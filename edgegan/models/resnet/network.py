"""The ResNet generator of CycleGAN and pix2pix (Zhu et al. 2017, after Johnson et al. 2016), dense or separable."""

from __future__ import annotations

import torch
from pydantic import Field
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
    scale_width,
)
from edgegan.models.residual_blocks import INNER, tap_names
from edgegan.models.spec import Spec, WidthField
from edgegan.recipe.student_section import Block, Norm


class ResnetSpec(Spec):
    """Every width of the generator. Heights and widths of images must be multiples of 4 and at least 16."""

    WIDTHS = (
        WidthField("stem", "stem"),
        WidthField("down1", "down"),
        WidthField("down2", "trunk"),
        INNER,
        WidthField(r"up(\d)", "up", -1),
    )
    STRIDE = 4
    MIN_SIZE = 16

    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    stem: int = Field(
        64, ge=1, le=MOST_WIDTH, description="channels after the first 7x7 convolution"
    )
    down: int = Field(
        128, ge=1, le=MOST_WIDTH, description="channels after the first strided convolution"
    )
    trunk: int = Field(256, ge=1, le=MOST_WIDTH, description="channels of the residual trunk")
    inner: Layers = Field((256,) * 9, description="inner channels of each residual block")
    up: tuple[Width, Width] = Field(
        (128, 64), description="channels after each transposed convolution"
    )
    block: Block = Field("dense", description="residual convolutions: dense or separable")
    norm: FamilyNorm = "instance"
    padding: Padding = Field("reflect", description="padding inside residual blocks")
    separable_norm: FamilyNorm | None = Field(
        None, description="norm between depthwise and pointwise; null: the same as norm"
    )
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="dropout inside residual blocks (training only)"
    )

    @staticmethod
    def from_ngf(ngf: int, blocks: int = 9, **other: object) -> ResnetSpec:
        """The published shape: ngf, 2 ngf, 4 ngf, `blocks` residual blocks, 2 ngf, ngf."""
        return ResnetSpec.model_validate(
            {
                "stem": ngf,
                "down": 2 * ngf,
                "trunk": 4 * ngf,
                "inner": (4 * ngf,) * blocks,
                "up": (2 * ngf, ngf),
                **other,
            }
        )

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
                "stem": scale_width(self.stem, scale, round_to),
                "down": scale_width(self.down, scale, round_to),
                "trunk": scale_width(self.trunk, scale, round_to),
                "inner": tuple(scale_width(width, scale, round_to) for width in self.inner),
                "up": tuple(scale_width(width, scale, round_to) for width in self.up),
                "block": block,
                "norm": norm,
                "separable_norm": None,
                "dropout": 0.0,
            }
        )


class ResnetGenerator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, out, H, W) in [-1, 1]; H and W multiples of 4."""

    def __init__(self, spec: ResnetSpec) -> None:
        super().__init__()
        norm = spec.norm
        self.stem_pad = nn.ReflectionPad2d(3)
        self.stem = nn.Conv2d(spec.in_channels, spec.stem, 7)
        self.stem_norm = make_norm(norm, spec.stem)
        self.down1 = nn.Conv2d(spec.stem, spec.down, 3, stride=2, padding=1)
        self.down1_norm = make_norm(norm, spec.down)
        self.down2 = nn.Conv2d(spec.down, spec.trunk, 3, stride=2, padding=1)
        self.down2_norm = make_norm(norm, spec.trunk)
        self.down2_relu = nn.ReLU()
        self.global_branch = global_branch(norm, spec.in_channels, spec.trunk)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                spec.trunk,
                inner,
                spec.block,
                norm,
                dropout=spec.dropout,
                separable_norm=spec.separable_norm,
            ).set_padding(spec.padding)
            for inner in spec.inner
        )
        self.up1 = nn.ConvTranspose2d(
            spec.trunk, spec.up[0], 3, stride=2, padding=1, output_padding=1
        )
        self.up1_norm = make_norm(norm, spec.up[0])
        self.up2 = nn.ConvTranspose2d(
            spec.up[0], spec.up[1], 3, stride=2, padding=1, output_padding=1
        )
        self.up2_norm = make_norm(norm, spec.up[1])
        self.head_pad = nn.ReflectionPad2d(3)
        self.head = nn.Conv2d(spec.up[1], spec.out_channels, 7)
        self.relu = nn.ReLU()
        self.tanh = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        image = x
        x = self.relu(self.stem_norm(self.stem(self.stem_pad(x))))
        x = self.relu(self.down1_norm(self.down1(x)))
        x = self.down2_relu(self.down2_norm(self.down2(x)))
        if self.global_branch is not None:
            x = self.global_branch(image, x)
        for block in self.blocks:
            x = block(x)
        x = self.relu(self.up1_norm(self.up1(x)))
        x = self.relu(self.up2_norm(self.up2(x)))
        return self.tanh(self.head(self.head_pad(x)))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: trunk entry and after each third of the blocks (GAN Compression 3.1)."""
        return tap_names(len(self.blocks))
