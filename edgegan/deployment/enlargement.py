"""Pictures doubled in a network: how the convolutions there are deployed, one for each of four output phases."""

from __future__ import annotations

from typing import Final

from torch import nn

NEAREST: Final = ("nearest", "nearest-exact")
PHASES: Final = 4
PHASE_TAPS: Final = 4  # of a 3x3 convolution behind a doubling by nearest neighbours, in each phase
DOUBLING: Final = ((3, 3), (2, 2), (1, 1), (1, 1), (1, 1))


def is_doubling(layer: nn.Module) -> bool:
    """Whether a transposed convolution is deployed as a 2x2 convolution and depth_to_space."""
    if not isinstance(layer, nn.ConvTranspose2d) or layer.groups != 1:
        return False
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
    return shape == DOUBLING
