"""Small generators of every kind, with an input of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import nn

from edgegan.channels.groups import ChannelGraph
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build


class Skips(nn.Module):
    """U-Net-like: concatenated skips, batch norm, a functional upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 6, 4, 2, 1)
        self.down2 = nn.Conv2d(6, 10, 4, 2, 1)
        self.norm2 = nn.BatchNorm2d(10)
        self.middle = nn.Conv2d(10, 8, 3, padding=1, bias=False)
        self.up2 = nn.ConvTranspose2d(18, 6, 4, 2, 1)
        self.norm = nn.BatchNorm2d(12)
        self.slope = nn.PReLU(12)
        self.head = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = F.leaky_relu(self.down1(x), 0.2)
        second = self.norm2(self.down2(first))
        y = torch.cat([self.middle(F.relu(second)), second], 1)
        y = torch.cat([self.up2(F.relu(y)), first], dim=1)
        y = self.slope(self.norm(y))
        return torch.tanh(self.head(F.interpolate(y, scale_factor=2, mode="nearest")))


class Modulated(nn.Module):
    """SPADE-like: normalised * (1 + gamma) + beta from a side input, chunked and separate, with a
    learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(4, 8, 3, padding=1)
        self.norm = nn.InstanceNorm2d(8)
        self.shared = nn.Conv2d(4, 7, 3, padding=1)
        self.gamma = nn.Conv2d(7, 8, 3, padding=1)
        self.beta = nn.Conv2d(7, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4)
        self.both = nn.Conv2d(7, 24, 1)
        self.scale = nn.Parameter(torch.rand(1, 12, 1, 1))
        self.head = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.shared(side))
        y = self.norm(self.fc(x)) * (1 + self.gamma(hidden)) + self.beta(hidden)
        gamma, beta = self.both(hidden).chunk(2, dim=1)
        y = self.grouped(F.leaky_relu(y, 0.2)) * self.scale * gamma + beta
        return torch.tanh(self.head(y))


class Noise(nn.Module):
    """SNGAN-like: Linear, reshape with a literal number of channels, upsampling blocks with a
    projected skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 8 * 16)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 6, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.skip = nn.Conv2d(8, 8, 1)
        self.norm3 = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 3, 3, padding=1)
        self.register_buffer("unused", torch.zeros(3))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.first(z).view(-1, 8, 4, 4)
        y = self.conv1(F.interpolate(F.relu(self.norm1(x)), scale_factor=2))
        y = self.conv2(F.relu(self.norm2(y))) + self.skip(F.interpolate(x, scale_factor=2))
        return torch.tanh(self.head(F.relu(self.norm3(y))))


class Shuffled(nn.Module):
    """Pixel shuffle after a Sequential with Unflatten, GroupNorm of one group, depthwise with a
    multiplier."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Linear(6, 32), nn.Unflatten(1, (8, 2, 2)), nn.GELU())
        self.wide = nn.Conv2d(8, 24, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = nn.GroupNorm(1, 6)
        self.depthwise = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.head = nn.Conv2d(12, 3, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.shuffle(self.wide(self.start(z))))
        return self.head(self.depthwise(torch.sigmoid(y)) * 2.0)


def image() -> tuple[torch.Tensor, ...]:
    return (torch.randn(2, 3, 16, 16),)


def small_resnet(**other: object) -> nn.Module:
    return build("resnet", ResnetSpec.from_ngf(6, 2, **other))


def small_cartoon() -> nn.Module:
    widths = {"stem": 5, "down1": (7, 6), "down2": (10, 9), "inner": (8, 6), "up1": (7, 6)}
    return build("cartoon", {**widths, "up2": (5, 4)})


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[torch.Tensor, ...]]]] = {
    "dense": (small_resnet, image),
    "separable": (lambda: small_resnet(block="separable"), image),
    "batch": (lambda: small_resnet(norm="batch"), image),
    "batch-global": (lambda: small_resnet(norm="batch-global"), image),
    "affine": (lambda: small_resnet(norm="instance_affine", block="separable"), image),
    "cartoon": (small_cartoon, image),
    "skips": (Skips, image),
    "modulated": (Modulated, lambda: (torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8))),
    "noise": (Noise, lambda: (torch.randn(3, 5),)),
    "shuffled": (Shuffled, lambda: (torch.randn(3, 6),)),
}
FAMILIES: dict[str, tuple[BaseModel, tuple[int, ...]]] = {
    "unet": (UnetSpec.from_ngf(4, halvings=4), (2, 3, 16, 16)),
    "transformer_net": (
        TransformerSpec(stem=6, down=8, trunk=10, inner=(9, 8), up=(8, 6)),
        (2, 3, 16, 16),
    ),
    "sngan": (SnganSpec(latent=6, stem=9, width=(8, 7), inner=(6, 5)), (2, 6)),
    "animegan": (
        AnimeSpec(
            stem=4,
            half=(5, 6),
            quarter=(7, 8, 9),
            expanded=(12, 14, 10),
            trunk=8,
            narrow=7,
            up1=(6, 5),
            up2=(6, 5, 4),
        ),
        (2, 3, 16, 16),
    ),
    "spade": (SpadeSpec.from_ngf(1, classes=4), (2, 5, 64, 64)),
}
FAMILIES["transformer_net global"] = (
    TransformerSpec(
        stem=6, down=8, trunk=10, inner=(9, 8), up=(8, 6), block="separable", norm="batch-global"
    ),
    (2, 3, 16, 16),
)
for family, (spec, shape) in FAMILIES.items():
    CASES[family] = (
        partial(build, family.split()[0], spec),
        lambda shape=shape: (torch.randn(shape),),
    )
CASES["spade_mobile"] = (
    lambda: build("spade", SpadeSpec.from_ngf(1, classes=4, block="separable", norm="instance")),
    lambda: (torch.randn(1, 5, 128, 128),),
)
Case = tuple[nn.Module, tuple[torch.Tensor, ...], ChannelGraph]
