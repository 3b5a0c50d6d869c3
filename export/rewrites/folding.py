"""Scales and shifts that a convolution next to them can take: BatchNorm before and behind, affine norms, constants."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    AnyConvolution,
    Convolution,
    is_pointwise,
    is_unpadded,
    layer_of,
    only_user,
    remove_node,
    replace_layer,
    shape_of,
    source_of,
)

SMALLEST_SCALE = 1e-2  # of the largest: below it, dividing by a norm's scale would cost digits
Affine = tuple[torch.Tensor, torch.Tensor]


def affine_of(norm: nn.Module | None) -> Affine | None:
    """A BatchNorm at inference as x * scale + shift, each (C,) float64; None for anything else."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        return None
    assert norm.running_var is not None
    scale = (norm.running_var.detach().double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.detach().double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


def scale_outputs(
    conv: AnyConvolution | nn.Linear, scale: torch.Tensor, shift: torch.Tensor
) -> None:
    """Makes a layer give y * scale + shift, per output channel (out,) float64. Sets weight and bias."""
    weight = conv.weight.detach().double()
    if isinstance(conv, nn.ConvTranspose2d):
        inputs, outputs = weight.shape[:2]
        grouped = weight.reshape(conv.groups, inputs // conv.groups, outputs, *weight.shape[2:])
        weight = (grouped * scale.reshape(conv.groups, 1, outputs, 1, 1)).reshape(weight.shape)
    else:
        weight = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
    bias = shift if conv.bias is None else conv.bias.detach().double() * scale + shift
    conv.weight = nn.Parameter(weight.float())
    conv.bias = nn.Parameter(bias.float())


def take_affine(conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> None:
    """Makes a convolution take x where it took x * scale + shift, per input channel (in,) float64.

    Exact where nothing is padded, or the shift is zero.
    """
    weight = conv.weight.detach().double()
    inputs = weight.shape[1]
    outputs = weight.shape[0] // conv.groups
    per_group = scale.reshape(conv.groups, 1, inputs, 1, 1), shift.reshape(conv.groups, inputs, 1)
    grouped = weight.reshape(conv.groups, outputs, inputs, *weight.shape[2:])
    added = (grouped.sum((3, 4)) @ per_group[1]).reshape(-1)
    bias = added if conv.bias is None else conv.bias.detach().double() + added
    conv.weight = nn.Parameter((grouped * per_group[0]).reshape(weight.shape).float())
    conv.bias = nn.Parameter(bias.float())


def fuse_batch_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A BatchNorm that alone follows a convolution (dense, depthwise, grouped, transposed) becomes part of it."""
    affine, before = affine_of(layer_of(graph, node)), source_of(node)
    conv = layer_of(graph, before)
    if affine is None or only_user(before) is not node or not isinstance(conv, Convolution):
        return False
    scale_outputs(conv, *affine)
    remove_node(node)
    return True


def fold_batch_norm_forward(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A BatchNorm that only an unpadded convolution reads becomes part of that convolution."""
    affine, after = affine_of(layer_of(graph, node)), only_user(node)
    conv = layer_of(graph, after)
    if affine is None or not isinstance(conv, nn.Conv2d) or not is_unpadded(conv):
        return False
    take_affine(conv, *affine)
    remove_node(node)
    return True


def absorb_pre_activation_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A BatchNorm on a residual stream goes into the layers that make the stream; what else reads the stream, 1x1
    convolutions behind nearest resizing or none, takes the inverse. Left alone where the inverse would cost digits."""
    affine, stream = affine_of(layer_of(graph, node)), source_of(node)
    if affine is None or float(affine[0].abs().min()) < SMALLEST_SCALE * float(
        affine[0].abs().max()
    ):
        return False
    makers = makers_of(graph, stream)
    readers = [pointwise_behind(graph, user) for user in stream.users if user is not node]
    if makers is None or any(reader is None for reader in readers):
        return False
    scale, shift = affine
    for index, (maker, repeat) in enumerate(makers):
        own_shift = shift if index == 0 else torch.zeros_like(shift)
        scale_outputs(maker, scale.repeat_interleave(repeat), own_shift.repeat_interleave(repeat))
    for reader in readers:
        assert reader is not None
        take_affine(reader, 1 / scale, -shift / scale)
    remove_node(node)
    return True


def makers_of(
    graph: fx.GraphModule, stream: fx.Node
) -> list[tuple[AnyConvolution | nn.Linear, int]] | None:
    """The layers whose outputs add up to a stream, each with its outputs a channel; None when there are others."""
    layer = layer_of(graph, stream)
    if isinstance(layer, Convolution):
        return [(layer, 1)]
    if isinstance(layer, nn.Unflatten) and only_user(source_of(stream)) is stream:
        linear = layer_of(graph, source_of(stream))
        _, channels, height, width = shape_of(stream)
        if isinstance(linear, nn.Linear) and linear.out_features == channels * height * width:
            return [(linear, height * width)]
    if stream.op == "call_function" and stream.target in (operator.add, torch.add):
        if len(stream.args) != 2 or stream.kwargs or stream.args[0] is stream.args[1]:
            return None
        found: list[tuple[AnyConvolution | nn.Linear, int]] = []
        for part in stream.args:
            if not isinstance(part, fx.Node) or only_user(part) is not stream:
                return None
            if shape_of(part) != shape_of(stream):
                return None
            inner = makers_of(graph, part)
            if inner is None:
                return None
            found += inner
        return found
    return None


def pointwise_behind(graph: fx.GraphModule, node: fx.Node) -> nn.Conv2d | None:
    """The 1x1 convolution that reads a stream through nothing or one nearest resizing, or None."""
    layer = layer_of(graph, node)
    if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
        after = only_user(node)
        layer = layer_of(graph, after)
    return layer if isinstance(layer, nn.Conv2d) and is_pointwise(layer) else None


def fold_affine_into_pointwise(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Scale and shift of an InstanceNorm that only an unpadded 1x1 convolution reads move into its weights and bias."""
    norm, after = layer_of(graph, node), only_user(node)
    conv = layer_of(graph, after)
    if not isinstance(norm, nn.InstanceNorm2d) or norm.weight is None or norm.bias is None:
        return False
    if not isinstance(conv, nn.Conv2d) or not is_pointwise(conv):
        return False
    take_affine(conv, norm.weight.detach().double(), norm.bias.detach().double())
    replace_layer(graph, node, nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=False))
    return True


def fold_constant(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A number added to a convolution's output (the one in SPADE's 1 + scale) goes into its bias."""
    conv, after = layer_of(graph, node), only_user(node)
    if not isinstance(conv, Convolution) or after is None or after.kwargs:
        return False
    if after.op != "call_function" or after.target not in (operator.add, torch.add):
        return False
    numbers = [value for value in after.args if isinstance(value, (int, float))]
    if len(numbers) != 1 or len(after.args) != 2:
        return False
    ones = torch.ones(conv.out_channels, dtype=torch.float64)
    scale_outputs(conv, ones, ones * numbers[0])
    after.replace_all_uses_with(node)
    graph.graph.erase_node(after)
    return True


def explicit_batch_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A BatchNorm that nothing could take becomes a depthwise 1x1 convolution: one operation with its activation."""
    affine = affine_of(layer_of(graph, node))
    if affine is None:
        return False
    channels = len(affine[0])
    conv = nn.Conv2d(channels, channels, 1, groups=channels)
    conv.weight = nn.Parameter(affine[0].float().reshape(-1, 1, 1, 1))
    conv.bias = nn.Parameter(affine[1].float())
    replace_layer(graph, node, conv)
    return True
