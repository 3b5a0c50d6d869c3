"""Norms over each picture's own statistics: which they are, which int8 suits them, and what they make superfluous."""

from __future__ import annotations

from typing import Final, Literal

from torch import nn

PICTURE_NORMS: Final = (nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


def normalises_each_picture(module: nn.Module) -> bool:
    """Whether a generator normalises by each picture's own statistics, which static int8 ruins."""
    return any(isinstance(layer, PICTURE_NORMS) for layer in module.modules())


def litert_policy(module: nn.Module) -> Literal["dynamic", "static"]:
    """The int8 that LiteRT computes a generator in: dynamic where a norm follows each picture, else static."""
    return "dynamic" if normalises_each_picture(module) else "static"


def loses_vectors(layer: nn.Module, after: nn.Module | None) -> bool:
    """Whether a layer's vectors are gone once it is deployed: the bias before an InstanceNorm, scale and shift of an
    InstanceNorm before a 1x1 convolution."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        return isinstance(after, nn.InstanceNorm2d)
    pointwise = isinstance(after, nn.Conv2d) and after.kernel_size == (1, 1)
    return isinstance(layer, nn.InstanceNorm2d) and pointwise
