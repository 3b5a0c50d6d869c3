"""The last convolution: three output channels leave most of a SIMD register idle."""

from __future__ import annotations

import torch
from torch import fx, nn

from edgegan.deployment.few_outputs import becomes_strided
from edgegan.export.rewrites.edits import (
    is_plain,
    layer_of,
    make_convolution,
    replace_layer,
    shape_of,
)
from edgegan.export.rewrites.phases import depth_to_space


class StridedHead(nn.Module):
    """A k x l convolution with few outputs as a (k + 1) x (l + 1) one of stride 2 with four times the outputs, then
    depth_to_space."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        outputs, inputs, height, width = weight.shape
        kernel = torch.zeros(2, 2, outputs, inputs, height + 1, width + 1)
        for a in range(2):
            for b in range(2):
                kernel[a, b, :, :, a : a + height, b : b + width] = weight
        assert not isinstance(layer.padding, str)
        self.channels = outputs
        self.activation: nn.Module = nn.Identity()
        self.conv = make_convolution(
            kernel.flatten(0, 2),
            None if layer.bias is None else layer.bias.repeat(4),
            stride=(2, 2),
            padding=(layer.padding[0], layer.padding[1]),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the convolution gives, (N, out, H, W) with H and W even."""
        return depth_to_space(self.activation(self.conv(x)), (2, 2), self.channels)


def strided_head(graph: fx.GraphModule, node: fx.Node) -> bool:
    """k x k convolution to at most four channels of even height and width -> stride 2 and depth_to_space."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.Conv2d) or not is_plain(layer):
        return False
    height, width = shape_of(node)[2:]
    if not becomes_strided(layer, height, width):
        return False
    replace_layer(graph, node, StridedHead(layer))
    return True
