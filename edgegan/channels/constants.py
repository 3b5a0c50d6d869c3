"""Which channels of a generator are constant over the image whatever the input, and their value
(evaluation mode).

A channel whose norm has scale zero emits its shift; what activations, sums and convolutions make of
it is followed through the trace. Convolutions without zero padding keep a constant constant; at a
zero-padded border and after a transposed convolution only zero stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from edgegan.channels import rules
from edgegan.channels.calls import ELEMENTWISE, POINTWISE, RESHAPES, argument, name_of
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.program import operands_of, shape_of

SAME_CALLS = {
    *("dropout", "dropout2d", "interpolate", "upsample", "contiguous", "clone", "detach", "float"),
    *("to", "mean", "amax", "amin", "max_pool2d", "adaptive_avg_pool2d"),
}
SAME_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class Constant:
    """Per channel, in a shape that broadcasts such as (1, C, 1, 1): known to be constant, and its
    value (else 0)."""

    known: torch.Tensor
    value: torch.Tensor

    def reshaped(self, known: torch.Tensor, value: torch.Tensor) -> Constant:
        """Other channels of a tensor of this rank."""
        shape = (1, -1, *self.known.shape[2:])
        return make(known.reshape(shape), value.reshape(shape))


def make(known: torch.Tensor, value: torch.Tensor) -> Constant:
    """A Constant whose unknown values are zero."""
    return Constant(known, torch.where(known, value, torch.zeros_like(value)))


def unknown(shape: tuple[int, ...], channels: int) -> Constant:
    """A tensor of which nothing is known."""
    view = (1, channels, *([1] * (len(shape) - 2)))
    return Constant(torch.zeros(view, dtype=torch.bool), torch.zeros(view, dtype=torch.float64))


def find_constants(
    module: nn.Module, graph: ChannelGraph, absent: frozenset[str] = frozenset()
) -> dict[str, Constant]:
    """The constant channels at every traced node that has channels.

    Channels of the groups `absent` are taken away entirely: where they are not constant they count
    as zero.
    """
    found: dict[fx.Node, Any] = {}
    for node in graph.program.graph.nodes:
        if node.name not in graph.nodes and name_of(node) != "chunk":
            continue
        shape = shape_of(node)
        found[node] = follow(module, graph, node, found, absent)
        if found[node] is None and shape is not None:
            found[node] = unknown(shape, graph.total(graph.nodes[node.name]))
        if absent and isinstance(found[node], Constant) and node.name in graph.nodes:
            gone = entries_in(graph, node.name, absent).reshape(found[node].known.shape)
            found[node] = Constant(found[node].known | gone, found[node].value)
    return {node.name: each for node, each in found.items() if isinstance(each, Constant)}


def entries_in(graph: ChannelGraph, node: str, groups: frozenset[str]) -> torch.Tensor:
    """Which channels of a node belong to these groups."""
    runs = [
        torch.full((graph.groups[each.group].size * each.repeat,), each.group in groups)
        for each in graph.nodes[node]
    ]
    return torch.cat(runs)


def follow(
    module: nn.Module,
    graph: ChannelGraph,
    node: fx.Node,
    found: Mapping[fx.Node, Any],
    absent: frozenset[str],
) -> Any:
    """The constants after one node, or None when nothing is known."""
    if node.op == "placeholder":
        return None
    if node.op == "get_attr":
        owner, _, leaf = str(node.target).rpartition(".")
        tensor = getattr(module.get_submodule(owner), leaf).detach().double().cpu()
        one_axis = sum(size > 1 for size in tensor.shape) == 1
        return Constant(torch.ones_like(tensor, dtype=torch.bool), tensor) if one_axis else None
    inputs = [found[each] for each in operands_of(node) if each in found]
    if not inputs:
        return None
    x = inputs[0]
    if isinstance(x, list):
        return x[int(argument(node, 1, "index", 0))]
    if node.op == "call_module":
        gone = entries_in(graph, node.all_input_nodes[0].name, absent)
        return follow_layer(module.get_submodule(str(node.target)), x, gone, node, graph)
    return follow_call(graph, node, found, inputs)


def follow_layer(
    layer: nn.Module, x: Constant, gone: torch.Tensor, node: fx.Node, graph: ChannelGraph
) -> Constant | None:
    """Through a layer."""
    if isinstance(layer, (*rules.Convolutions, nn.Linear)):
        return through_weights(layer, x, gone)
    if isinstance(layer, (*rules.BatchNorms, *rules.InstanceNorms)):
        return through_norm(layer, x)
    if isinstance(layer, nn.GroupNorm):
        return through_scale(layer.weight, layer.bias, x, None) if layer.affine else None
    if isinstance(layer, nn.PReLU):
        slope = layer.weight.detach().double().cpu().reshape(1, -1, *[1] * (x.value.dim() - 2))
        return make(x.known, torch.where(x.value < 0, x.value * slope, x.value))
    if isinstance(layer, rules.ACTIVATIONS):
        return make(x.known, layer(x.value.clone()))
    if isinstance(layer, (*rules.SAME_PADS, *rules.NO_OPS, *rules.RESAMPLING, *SAME_POOLS)):
        return x
    if isinstance(layer, (nn.ZeroPad2d, nn.ConstantPad2d)):
        return make(x.known & (x.value == layer.value), x.value)
    if isinstance(layer, (nn.AvgPool1d, nn.AvgPool2d)):
        if layer.padding in (0, (0,), (0, 0)):
            return x
        return make(x.known & (x.value == 0), x.value)
    if isinstance(layer, (nn.PixelShuffle, nn.Flatten, nn.Unflatten)):
        return regroup(x, node, graph)
    return None


def weight_blocks(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's weights as (out, in of one group, taps), and which input each of the first two
    indexes reads."""
    weight = layer.weight.detach().double().cpu()
    groups = getattr(layer, "groups", 1)
    weight = weight.flatten(2) if weight.dim() > 2 else weight[:, :, None]
    if isinstance(layer, rules.Transposed):
        blocks = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2)
        weight = blocks.reshape(-1, *blocks.shape[2:])
    outputs, inputs = weight.shape[:2]
    first = torch.arange(outputs) // (outputs // groups) * inputs
    return weight, first[:, None] + torch.arange(inputs)


def has_border(layer: nn.Module) -> bool:
    """Whether the layer's output for a constant input is not constant: zero padding, or
    transposed."""
    if isinstance(layer, nn.Linear):
        return False
    if isinstance(layer, rules.Transposed):
        return True
    assert isinstance(layer, rules.Convolutions)
    padded = any(layer.padding) if isinstance(layer.padding, tuple) else layer.padding == "same"
    return padded and layer.padding_mode == "zeros"


def through_weights(layer: Any, x: Constant, gone: torch.Tensor) -> Constant:
    """A convolution or Linear: outputs all of whose inputs are constant."""
    weight, reads = weight_blocks(layer)
    known, value = x.known.flatten(), x.value.flatten()
    usable = known
    if has_border(layer):
        harmless = gone & ~torch.tensor(isinstance(layer, rules.Transposed))
        usable = known & ((value == 0) | harmless)
    matters = weight.abs().sum(2) > 0
    result = (weight.sum(2) * value[reads]).sum(1)
    if layer.bias is not None:
        result = result + layer.bias.detach().double().cpu()
    return x.reshaped((usable[reads] | ~matters).all(1), result)


def through_norm(layer: Any, x: Constant) -> Constant:
    """BatchNorm and InstanceNorm in evaluation."""
    if getattr(layer, "running_mean", None) is None:
        centred = torch.zeros_like(x.value)
    else:
        shape = x.value.shape
        mean = layer.running_mean.detach().double().cpu().reshape(shape)
        variance = layer.running_var.detach().double().cpu().reshape(shape)
        centred = (x.value - mean) / (variance + layer.eps).sqrt()
    return through_scale(layer.weight, layer.bias, x, centred)


def through_scale(
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    x: Constant,
    centred: torch.Tensor | None,
) -> Constant:
    """scale * normalised + shift: constant where the scale is zero or the normalised value is
    known."""
    known = x.known if centred is not None else torch.zeros_like(x.known)
    value = torch.zeros_like(x.value) if centred is None else centred
    if weight is not None:
        scale = weight.detach().double().cpu().reshape(x.value.shape)
        known, value = known | (scale == 0), value * scale
    if bias is not None:
        value = value + bias.detach().double().cpu().reshape(x.value.shape)
    return make(known, value)


def follow_call(
    graph: ChannelGraph, node: fx.Node, found: Mapping[fx.Node, Any], inputs: list[Constant]
) -> Any:
    """Through a function or method."""
    name, x = name_of(node), inputs[0]
    if name == "cat":
        return x.reshaped(
            torch.cat([each.known.flatten() for each in inputs]),
            torch.cat([each.value.flatten() for each in inputs]),
        )
    if name == "chunk":
        count = int(argument(node, 1, "chunks", 1))
        known, value = x.known.chunk(count, 1), x.value.chunk(count, 1)
        return [Constant(*pair) for pair in zip(known, value, strict=True)]
    if name in RESHAPES or name == "pixel_shuffle":
        return regroup(x, node, graph)
    if name == "pad":
        if argument(node, 2, "mode", "constant") != "constant":
            return x
        return make(x.known & (x.value == (argument(node, 3, "value", 0) or 0)), x.value)
    if name == "instance_norm":
        return make(x.known, torch.zeros_like(x.value))
    if name in SAME_CALLS:
        rank = len(shape_of(node) or ())
        shape = (1, -1, *[1] * (rank - 2))
        changed = graph.nodes[node.name] != graph.nodes[node.all_input_nodes[0].name]
        return None if changed else Constant(x.known.reshape(shape), x.value.reshape(shape))
    if name == "getitem":
        return x
    if name in POINTWISE or name in ELEMENTWISE:
        return arithmetic(node, found, inputs, name)
    return None


def arithmetic(
    node: fx.Node, found: Mapping[fx.Node, Any], inputs: list[Constant], name: str
) -> Constant | None:
    """Sums, products and activations, by running them on the values."""
    if any(each not in found for each in node.all_input_nodes):
        return None
    arguments = fx.map_arg((node.args, node.kwargs), lambda each: found[each].value.clone())
    positional, keywords = arguments
    if node.op == "call_method":
        result = getattr(positional[0], str(node.target))(*positional[1:], **keywords)
    else:
        result = node.target(*positional, **keywords)  # type: ignore[operator]
    known = torch.ones(result.shape, dtype=torch.bool)
    for each in inputs:
        known = known & each.known
    if name in ("mul", "mul_", "imul"):
        for each in inputs:
            known = known | (each.known & (each.value == 0))
    return make(known, result)


def regroup(x: Constant, node: fx.Node, graph: ChannelGraph) -> Constant:
    """Reshapes and pixel shuffle: entries of one new channel must be known and equal."""
    channels, rank = graph.total(graph.nodes[node.name]), len(shape_of(node) or ())
    known, value = x.known.flatten(), x.value.flatten()
    if channels >= len(known):
        known = known.repeat_interleave(channels // len(known))
        value = value.repeat_interleave(channels // len(value))
    else:
        rows, values = known.reshape(channels, -1), value.reshape(channels, -1)
        known, value = rows.all(1) & (values == values[:, :1]).all(1), values[:, 0]
    shape = (1, -1, *[1] * (rank - 2))
    return make(known.reshape(shape), value.reshape(shape))
