"""Convolutions to a few channels: they leave most of a SIMD register idle, so they are deployed with stride 2, four
times the outputs, and depth_to_space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import nn

FEW_OUTPUTS: Final = 4
LEAST_TAPS: Final = 3  # in each direction


def becomes_strided(layer: nn.Conv2d, height: int, width: int) -> bool:
    """Whether a convolution whose output is `height` x `width` is deployed so: dense, undilated, of stride 1, at least
    3x3, to at most four channels, with even sides. A border of any kind is a layer of its own by then."""
    return (
        layer.groups == 1
        and layer.stride == layer.dilation == (1, 1)
        and layer.out_channels <= FEW_OUTPUTS
        and min(layer.kernel_size) >= LEAST_TAPS
        and height % 2 == width % 2 == 0
    )
