"""SNGAN ResNet-32 (Miyato et al., ICLR 2018, appendix B.4, CIFAR-10 without classes): noise to a 32x32 image."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from edgegan.contracts.quantities import MOST_WIDTH, Layers
from edgegan.models.blocks import make_norm, refuse_global, refuse_separable, scaled_widths
from edgegan.models.spec import Spec, WidthField
from edgegan.package import NoiseIO
from edgegan.recipe.student_section import Block, Norm


class SnganSpec(Spec):
    """Every width of the generator; the image is `bottom` times two to the number of blocks."""

    WIDTHS = (
        WidthField("linear", "stem"),
        WidthField(r"blocks\.(\d+)\.conv1", "inner", 0),
        WidthField(r"blocks\.(\d+)\.conv2", "width", 0),
    )

    latent: int = Field(128, ge=1, le=MOST_WIDTH, description="noise values a picture")
    out_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    bottom: int = Field(4, ge=1, le=256, description="height and width of the first map")
    stem: int = Field(256, ge=1, le=MOST_WIDTH, description="channels of the first map")
    width: Layers = Field((256, 256, 256), min_length=1, description="channels after each block")
    inner: Layers = Field(
        (256, 256, 256), min_length=1, description="channels between a block's convolutions"
    )
    norm: Norm = "batch"

    @model_validator(mode="after")
    def check_blocks(self) -> SnganSpec:
        """One inner width for every block."""
        if len(self.inner) != len(self.width):
            raise ValueError(f"inner needs {len(self.width)} widths, as many as width")
        return self

    @property
    def in_channels(self) -> int:
        """No picture goes in."""
        return 0

    @property
    def takes(self) -> NoiseIO:
        """Noise of `latent` values."""
        return NoiseIO(dimension=self.latent)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image, which no input changes."""
        side = int(self.bottom * 2 ** len(self.width))
        return side, side

    def build(self) -> SnganGenerator:
        """A generator of these widths with fresh weights."""
        return SnganGenerator(self)

    def scaled(self, scale: float, round_to: int, block: Block, norm: Norm) -> SnganSpec:
        """A uniformly narrower generator with the same noise; raises ConfigError for separable blocks."""
        refuse_separable("sngan", block)
        refuse_global("sngan", norm)
        return self.model_copy(update={**scaled_widths(self, scale, round_to), "norm": norm})


class DoublingBlock(nn.Module):
    """conv(relu(norm(conv(double(relu(norm(x))))))) + conv1x1(double(x))."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = make_norm(norm, in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 3, padding=1)
        self.norm2 = make_norm(norm, inner)
        self.conv2 = nn.Conv2d(inner, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, 2 H, 2 W)."""
        y = self.conv1(self.enlarge(self.relu(self.norm1(x))))
        return self.conv2(self.relu(self.norm2(y))) + self.shortcut(self.enlarge(x))


class SnganGenerator(nn.Module):
    """(N, latent) standard normal noise -> (N, out, H, W) in [-1, 1], H and W as in `spec.size`."""

    def __init__(self, spec: SnganSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(spec.latent, spec.stem * spec.bottom**2)
        self.fold = nn.Unflatten(1, (spec.stem, spec.bottom, spec.bottom))
        before = (spec.stem, *spec.width[:-1])
        self.blocks = nn.ModuleList(
            DoublingBlock(b, inner, width, spec.norm)
            for b, inner, width in zip(before, spec.inner, spec.width, strict=True)
        )
        self.head_norm = make_norm(spec.norm, spec.width[-1])
        self.head = nn.Conv2d(spec.width[-1], spec.out_channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.tanh = nn.Tanh()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = self.fold(self.linear(z))
        for block in self.blocks:
            x = block(x)
        return self.tanh(self.head(self.relu(self.head_norm(x))))

    def taps(self) -> list[str]:
        """Modules whose outputs are distilled: every block."""
        return [f"blocks.{index}" for index in range(len(self.blocks))]


class SnganDiscriminatorSpec(BaseModel):
    """One width for all blocks; the first two halve the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sngan"] = "sngan"
    in_channels: int = Field(3, ge=1, le=MOST_WIDTH)
    ndf: int = Field(128, ge=1, le=MOST_WIDTH, description="channels of every block")
    blocks: int = Field(4, ge=2, le=16, description="residual blocks, the first two of which halve")


class JudgingBlock(nn.Module):
    """A residual block of the discriminator: spectral norm on every convolution, no other norm, mean pooling.

    The first block convolves the image before any activation and pools before its shortcut's convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, halve: bool, first: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        learned = halve or in_channels != out_channels
        self.shortcut = (
            spectral_norm(nn.Conv2d(in_channels, out_channels, 1)) if learned else nn.Identity()
        )
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.relu = nn.ReLU()
        self.first = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H, W), or half of each side."""
        y = self.pool(self.conv2(self.relu(self.conv1(x if self.first else self.relu(x)))))
        beside = self.shortcut(self.pool(x)) if self.first else self.pool(self.shortcut(x))
        return y + beside


class SnganDiscriminator(nn.Module):
    """(N, in, H, W) in [-1, 1] -> (N, 1) scores; H and W multiples of 4."""

    def __init__(self, spec: SnganDiscriminatorSpec) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            JudgingBlock(
                spec.in_channels if index == 0 else spec.ndf,
                spec.ndf,
                halve=index < 2,
                first=index == 0,
            )
            for index in range(spec.blocks)
        )
        self.relu = nn.ReLU()
        self.linear = spectral_norm(nn.Linear(spec.ndf, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        for block in self.blocks:
            x = block(x)
        return self.linear(self.relu(x).sum((2, 3)))
