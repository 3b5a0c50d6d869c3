"""Activations where runtimes run them for nothing: inside the convolution before, and channel-last."""

from __future__ import annotations

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    insert_layer,
    layer_of,
    only_user,
    remove_node,
    replace_layer,
    source_of,
)
from edgegan.export.rewrites.heads import StridedHead
from edgegan.export.rewrites.phases import PhaseConvolution

ELEMENTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.Hardtanh)


def activate_before_concat(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A ReLU over joined channels (the U-Net's way up) -> one on each part, which the layer that makes it can fuse;
    alone in int8 it would cost more than the convolution."""
    layer, joined = layer_of(graph, node), source_of(node)
    if not isinstance(layer, (nn.ReLU, nn.ReLU6)) or only_user(joined) is not node:
        return False
    if joined.op != "call_function" or joined.target is not torch.cat:
        return False
    parts = joined.args[0]
    if not isinstance(parts, (list, tuple)):
        return False
    active = []
    for index, part in enumerate(parts):
        assert isinstance(part, fx.Node)
        fresh = type(layer)()
        active.append(insert_layer(graph, part, f"{node.target}_part{index}", fresh))
        active[-1].meta.update(part.meta)
    joined.args = (active, *joined.args[1:])
    remove_node(node)
    return True


def activate_in_phases(graph: fx.GraphModule, node: fx.Node) -> bool:
    """An activation behind a convolution and depth_to_space moves between them, where the convolution fuses it."""
    activation, before = layer_of(graph, node), source_of(node)
    layer = layer_of(graph, before)
    if not isinstance(activation, ELEMENTWISE) or only_user(before) is not node:
        return False
    if not isinstance(layer, (PhaseConvolution, StridedHead)):
        return False
    layer.activation = activation
    remove_node(node)
    return True


class ChannelLastActivation(nn.Module):
    """An elementwise activation in NHWC, where converters put a TRANSPOSE on both sides of it otherwise."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape (N, C, H, W) -> the same."""
        return self.activation(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelLastPReLU(nn.Module):
    """A PReLU in NHWC: relu(x) - slope relu(-x), the slope a channel's own."""

    def __init__(self, layer: nn.PReLU) -> None:
        super().__init__()
        self.slope = nn.Parameter(layer.weight.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        y = x.permute(0, 2, 3, 1)
        return (torch.relu(y) - self.slope * torch.relu(-y)).permute(0, 3, 1, 2)


TRANSPOSED = (nn.GELU, nn.SiLU, nn.Hardswish, nn.ELU, nn.Mish, nn.Softplus, nn.SELU, nn.CELU)


def channel_last_activation(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Activations that converters lower channel-first -> the same in NHWC."""
    layer = layer_of(graph, node)
    if isinstance(layer, nn.PReLU):
        replace_layer(graph, node, ChannelLastPReLU(layer))
        return True
    if isinstance(layer, TRANSPOSED) and len(node.meta["tensor_meta"].shape) == 4:
        replace_layer(graph, node, ChannelLastActivation(layer))
        return True
    return False
