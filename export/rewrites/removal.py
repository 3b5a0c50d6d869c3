"""What does nothing goes: dropout, identities, biases the next norm subtracts, paddings a convolution can do."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    Convolution,
    insert_layer,
    layer_of,
    only_user,
    remove_node,
    replace_layer,
    shape_of,
    source_of,
)
from edgegan.export.rewrites.preparation import PADS

NO_OPS = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
PaddingLayer = (nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d, nn.ConstantPad2d)
LARGE_MEAN = 2.0  # means above this many standard deviations cost E[x^2] - E[x]^2 its digits


def drop_no_op(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Dropout, Identity, padding by nothing and resizing to the same size do nothing at inference."""
    layer = layer_of(graph, node)
    nothing = isinstance(layer, NO_OPS)
    if isinstance(layer, PaddingLayer):
        nothing = not any(layer.padding)
    if isinstance(layer, nn.Upsample):
        nothing = shape_of(node) == shape_of(source_of(node))
    if nothing:
        remove_node(node)
    return nothing


def drop_bias_before_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """InstanceNorm subtracts each channel's mean, and with it the bias of the convolution before."""
    conv, after = layer_of(graph, node), only_user(node)
    if not isinstance(conv, Convolution) or conv.bias is None or after is None:
        return False
    if not is_instance_norm(layer_of(graph, after)):
        return False
    conv.bias = None
    return True


def is_instance_norm(layer: nn.Module | None) -> bool:
    """Whether a module normalises every channel by the picture's own mean."""
    return isinstance(layer, nn.InstanceNorm2d) and not layer.track_running_stats


def centre_before_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Where a channel's mean is large against its deviation, the convolution's free bias takes it away: the norm
    subtracts it anyway, and float32 keeps its digits in E[x^2] - E[x]^2. Exact for any constant."""
    conv, after = layer_of(graph, node), only_user(node)
    if not isinstance(conv, Convolution) or after is None or "channel_mean" not in node.meta:
        return False
    if not is_instance_norm(layer_of(graph, after)) or node.meta["mean_ratio"] <= LARGE_MEAN:
        return False
    mean: torch.Tensor = node.meta["channel_mean"]
    conv.bias = nn.Parameter(mean.neg() if conv.bias is None else conv.bias.detach() - mean)
    after.meta["input_mean_ratio"] = 0.0
    return True


def split_padding(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A convolution that pads by reflection, replication or around becomes a padding layer and an unpadded one."""
    conv = layer_of(graph, node)
    if not isinstance(conv, nn.Conv2d) or conv.padding_mode == "zeros":
        return False
    left_right_top_bottom: Any = tuple(conv._reversed_padding_repeated_twice)
    pad = insert_layer(
        graph,
        source_of(node),
        f"{node.target}_pad",
        PADS[conv.padding_mode](left_right_top_bottom),
    )
    node.args = (pad,)
    conv.padding_mode, conv.padding = "zeros", (0, 0)
    return True


def number_padding(graph: fx.GraphModule, node: fx.Node) -> bool:
    """padding="same" or "valid" as numbers; an uneven one becomes a padding layer."""
    conv = layer_of(graph, node)
    if not isinstance(conv, nn.Conv2d) or not isinstance(conv.padding, str):
        return False
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    if (left, top) == (right, bottom):
        conv.padding = (top, left)
        return True
    conv.padding = (0, 0)
    pad = insert_layer(
        graph,
        source_of(node),
        f"{node.target}_pad",
        nn.ConstantPad2d((left, right, top, bottom), 0.0),
    )
    node.args = (pad,)
    return True


def merge_zero_padding(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A zero padding that only a convolution reads moves into it when it is the same on opposite sides."""
    pad, after = layer_of(graph, node), only_user(node)
    conv = layer_of(graph, after)
    if not isinstance(pad, nn.ConstantPad2d) or pad.value != 0 or not isinstance(conv, nn.Conv2d):
        return False
    left, right, top, bottom = pad.padding
    if left != right or top != bottom or min(left, top) < 0 or conv.padding_mode != "zeros":
        return False
    assert not isinstance(conv.padding, str)
    conv.padding = (conv.padding[0] + top, conv.padding[1] + left)
    remove_node(node)
    return True


def freeze_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """An InstanceNorm that kept statistics is a BatchNorm at inference; a BatchNorm that kept none normalises each
    picture alone, since artefacts take one at a time."""
    norm = layer_of(graph, node)
    if isinstance(norm, nn.InstanceNorm2d) and norm.track_running_stats:
        frozen: nn.Module = nn.BatchNorm2d(norm.num_features, eps=norm.eps, affine=norm.affine)
    elif isinstance(norm, nn.BatchNorm2d) and norm.running_mean is None:
        frozen = nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=norm.affine)
    else:
        return False
    frozen.load_state_dict(norm.state_dict())
    replace_layer(graph, node, frozen)
    return True
