"""Generators as people write them: sizes read in the forward, layers without a rule, attention, gates."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class Padded(nn.Module):
    """Pads to a multiple by a branch on sizes, asserts, takes numbers of sizes, crops back; its input is unshuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 12, 4, 2, 1)
        self.up = nn.ConvTranspose2d(12, 8, 4, 2, 1)
        self.head = nn.Conv2d(8, 12, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.size()
        assert channels == 3 and height > 4
        missing = (8 - height % 8) % 8
        if missing or width % 8 != 0:
            x = F.pad(x, (0, (8 - width % 8) % 8, 0, missing), "reflect")
        y = F.relu(self.first(F.pixel_unshuffle(x, 2)))
        y = y + F.interpolate(self.up(nn.ReLU()(self.down(y))), size=y.shape[2:])
        for _ in range(int(height / 8)):
            y = torch.clamp(y, -4, 4)
        made = F.pixel_shuffle(self.head(y), 2)[:, :, :height, :width]
        return torch.tanh(made.reshape(batch, 3, height, width))


class ChannelNorm(nn.Module):
    """Over channels, its weight as a view."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels) + 0.5)
        self.bias = nn.Parameter(torch.rand(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        y = centred / (centred.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
        return self.weight[:, None, None] * y + self.bias.view(1, -1, 1, 1)


class Gated(nn.Module):
    """Norms over channels, a gate of two halves, attention of channels by a pooled vector."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = ChannelNorm(8)
        self.wide = nn.Conv2d(8, 16, 1)
        self.scale = nn.Conv2d(8, 8, 1)
        self.back = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.wide(self.norm(x))
        left, right = torch.split(y, y.shape[1] // 2, dim=1)
        y = left * right
        y = y * self.scale(F.adaptive_max_pool2d(y, 1)).expand_as(y)
        return torch.tanh(self.head(x + self.back(y)))


class Tokens(nn.Module):
    """A transformer block over pixels: heads in the code, LayerNorm, a hidden layer that can be narrowed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.mix = nn.Linear(8, 24)
        self.project = nn.Linear(8, 8)
        self.grow, self.shrink = nn.Linear(8, 20), nn.Linear(20, 8)
        self.refine = nn.Conv2d(8, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        both = self.mix(self.norm1(tokens)).reshape(batch, height * width, 3, 2, channels // 2)
        query, key, value = both.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1)).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, height * width, channels)
        tokens = tokens + self.project(mixed)
        tokens = tokens + self.shrink(F.gelu(self.grow(self.norm2(tokens))))
        y = tokens.transpose(1, 2).view(batch, channels, height, width)
        return torch.tanh(self.head(F.relu(self.refine(y))))


class Blurred(nn.Module):
    """A fixed filter in a buffer, passed to another module; grouped channels shuffled; a corner written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.register_buffer("blur", torch.full((1, 1, 3, 3), 1 / 9))
        self.register_buffer("bias", torch.rand(1, 6, 1, 1))
        self.inner = nn.Conv2d(8, 6, 3, padding=1)
        self.add = Plus()
        self.head = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        batch, channels, height, width = x.shape
        x = F.conv2d(x, self.blur.repeat(channels, 1, 1, 1), padding=1, groups=channels)
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        x = x.view(batch, channels, height, width)
        y = torch.relu(self.add(self.inner(x), self.bias))
        made = torch.tanh(self.head(y))
        made[:, :, :2, :2] = 0.5
        return made


class Plus(nn.Module):
    """x + y."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Selected(nn.Module):
    """Branches of several kernels, weighed by a softmax over them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.judge = nn.Sequential(nn.Conv2d(8, 5, 1), nn.ReLU(), nn.Conv2d(5, 16, 1))
        self.head = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        branches = torch.stack([self.left(x), self.right(x)], dim=1)
        weights = self.judge(F.adaptive_avg_pool2d(branches.sum(1), 1))
        weights = torch.softmax(weights.view(x.size(0), 2, 8, 1, 1), dim=1)
        return torch.tanh(self.head((branches * weights).sum(dim=1)))


class Filled(nn.Module):
    """Fills a tensor that it makes where a condition holds, and changes another in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = x.shape
        mask = torch.zeros(batch, 1, height, width)
        mask[x.max(1, keepdim=True)[0] > 0.9] = 1.0
        mask.mul_(x[:, :1])
        y = torch.relu(self.first(x))
        y.add_(mask)
        return torch.tanh(self.head(y))


class OtherWhenNarrow(nn.Module):
    """Takes another branch when it is narrower, so that its widths cannot change."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if y.shape[1] == 8:
            y = torch.relu(y)
        return torch.tanh(self.head(y))


OWN: dict[str, Callable[[], nn.Module]] = {
    kind.__name__.lower(): kind for kind in (Padded, Gated, Tokens, Blurred, Selected, Filled)
}
