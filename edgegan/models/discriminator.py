"""Discriminators of images: PatchGAN (Isola et al. 2017), which a student inherits from its teacher, and SPADE's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from edgegan.contracts.quantities import MOST_WIDTH
from edgegan.errors import ConfigError
from edgegan.models.blocks import make_norm
from edgegan.recipe.student_section import Norm


class PatchSpec(BaseModel):
    """A discriminator of `layers` strided 4x4 convolutions (3 = the 70x70 PatchGAN), conditional or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["patch"] = "patch"
    in_channels: int = Field(
        3,
        ge=1,
        le=MOST_WIDTH,
        description="channels of the judged image, plus the input's when conditional",
    )
    ndf: int = Field(64, ge=1, le=4096, description="channels after the first convolution")
    layers: int = Field(3, ge=1, le=6)
    norm: Norm = "instance"
    conditional: bool = Field(False, description="judge input and output together (pix2pix)")
    mean: bool = Field(
        False,
        description="one score, the mean over all patches, instead of a map of them (GAN Slimming)",
    )


def judges_pairs(seen: int, channels: tuple[int, int], path: Path, *, always: bool = False) -> bool:
    """Whether a discriminator of `seen` channels judges input and output together: exactly when it sees as many as go
    into and out of its generator. Raises ConfigError where it sees neither these nor the output's alone, which are not
    enough for one that `always` judges both."""
    into, out = channels
    if seen not in ((into + out,) if always else (out, into + out)):
        alone = "" if always else f"{out}, or "
        raise ConfigError(
            f"{path}: its discriminator sees {seen} channels; beside a generator of {into} to {out} channels it must "
            f"see {alone}{into + out} when conditional; give that generator's own with --discriminator, or none"
        )
    return seen == into + out


class PatchDiscriminator(nn.Module):
    """(N, in, H, W) -> (N, 1, h, w) scores, one for each overlapping patch, or their mean (N, 1, 1, 1); layer indices
    are the public ones."""

    def __init__(self, spec: PatchSpec) -> None:
        super().__init__()
        width = spec.ndf
        layers: list[nn.Module] = [
            nn.Conv2d(spec.in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for index in range(1, spec.layers + 1):
            wider = spec.ndf * min(2**index, 8)
            stride = 2 if index < spec.layers else 1
            bias = spec.norm != "batch"
            layers += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1, bias=bias),
                make_norm(spec.norm, wider),
                nn.LeakyReLU(0.2),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, stride=1, padding=1))
        self.model = nn.Sequential(*layers)
        self.mean = spec.mean

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        scores: torch.Tensor = self.model(x)
        return scores.mean((2, 3), keepdim=True) if self.mean else scores


class MultiscaleSpec(BaseModel):
    """SPADE's discriminator (Park et al. 2019, appendix A): the same patch net on the image and on halved copies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["multiscale"] = "multiscale"
    in_channels: int = Field(
        39, ge=1, le=MOST_WIDTH, description="channels of labels, edge and image together"
    )
    ndf: int = Field(64, ge=1, le=4096, description="channels after the first convolution")
    layers: int = Field(4, ge=2, le=6, description="convolutions before the one that scores")
    scales: int = Field(2, ge=1, le=4, description="how many sizes are judged")
    spectral_ends: bool = Field(
        True,
        description="spectral norm on the first and the last convolution too; false: as released, and as it is trained",
    )


class ScaleDiscriminator(nn.Module):
    """One scale: 4x4 convolutions, the last one without stride, with spectral norm on all or on those between the ends,
    where InstanceNorm follows."""

    def __init__(self, spec: MultiscaleSpec) -> None:
        super().__init__()
        widths = [spec.ndf * min(2**index, 8) for index in range(spec.layers)]
        steps: list[nn.Module] = []
        before = spec.in_channels
        for index, width in enumerate(widths):
            stride = 2 if index < spec.layers - 1 else 1
            conv = nn.Conv2d(before, width, 4, stride=stride, padding=2, bias=index == 0)
            norm = nn.InstanceNorm2d(width) if index else nn.Identity()
            normed = spectral_norm(conv) if index or spec.spectral_ends else conv
            steps.append(nn.Sequential(normed, norm, nn.LeakyReLU(0.2)))
            before = width
        self.steps = nn.ModuleList(steps)
        score = nn.Conv2d(before, 1, 4, stride=1, padding=2)
        self.score = spectral_norm(score) if spec.spectral_ends else score

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, in, H, W) -> the map after every step, then (N, 1, h, w) scores."""
        maps = []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return [*maps, self.score(x)]


class MultiscaleDiscriminator(nn.Module):
    """(N, in, H, W) -> for each scale, full size first, its maps (for feature matching) and its scores last."""

    def __init__(self, spec: MultiscaleSpec) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ScaleDiscriminator(spec) for _ in range(spec.scales))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> list[list[torch.Tensor]]:
        """See the class."""
        results = []
        for index, scale in enumerate(self.scales):
            x = self.halve(x) if index else x
            results.append(scale(x))
        return results
