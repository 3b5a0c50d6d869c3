"""Bookkeeping before the rewrites: plain weights, a module of its own for every call, functions as layers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils import parametrize

from edgegan.channels.tracing import symbolic_trace
from edgegan.export.rewrites.edits import (
    insert_layer,
    layer_of,
    propagate_shapes,
    set_layer,
    shape_of,
    source_of,
)
from edgegan.export.rewrites.weight_expressions import compute_expressions

PADS = {
    "reflect": nn.ReflectionPad2d,
    "replicate": nn.ReplicationPad2d,
    "circular": nn.CircularPad2d,
}


def prepare(module: nn.Module, example: torch.Tensor) -> fx.GraphModule:
    """The copy of a generator that rewrites work on, traced on an example (1, ...).

    Raises ConfigError naming what cannot be traced.
    """
    module = copy.deepcopy(module).eval()
    compute_weights(module)
    graph = symbolic_trace(module, example)
    compute_expressions(graph)
    separate_calls(graph)
    functions_to_layers(graph)
    copy_where_needed(graph)
    fixed_pools(graph, example)
    graph.recompile()
    return graph


def compute_weights(module: nn.Module) -> None:
    """Weights that are computed in every forward (spectral norm, weight norm) become plain ones."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer):
            assert isinstance(layer.parametrizations, nn.ModuleDict)
            # A deep copy shares this class, from which removal deletes properties.
            own = type(layer)
            layer.__class__ = type(own.__name__, own.__bases__, dict(vars(own)))
            for name in list(layer.parametrizations):
                parametrize.remove_parametrizations(layer, name)
        for hook in list[Any](layer._forward_pre_hooks.values()):
            for kind, remove in REMOVERS.items():
                if type(hook).__name__ == kind:
                    remove(layer, hook.name)


REMOVERS: dict[str, Callable[..., object]] = {
    "WeightNorm": torch.nn.utils.remove_weight_norm,
    "SpectralNorm": torch.nn.utils.remove_spectral_norm,
}


def separate_calls(graph: fx.GraphModule) -> None:
    """A module called more than once is copied, since what follows one call must not change the other."""
    seen: dict[str, int] = {}
    owners: set[int] = set()
    for node in graph.graph.nodes:
        layer = layer_of(graph, node)
        if layer is None:
            continue
        name = str(node.target)
        seen[name] = seen.get(name, -1) + 1
        if seen[name] or id(layer) in owners:
            node.target = f"{name}_call{seen[name]}"
            set_layer(graph, node.target, copy.deepcopy(layer))
        owners.add(id(layer))


def functions_to_layers(graph: fx.GraphModule) -> None:
    """torch.nn.functional calls that have a layer become that layer, so that rewrites know one form of each."""
    for index, node in enumerate(list(graph.graph.nodes)):
        layer = as_layer(node)
        if layer is None:
            continue
        name = f"{node.name}_function{index}"
        graph.add_module(name, layer.eval())
        source = node.args[0] if node.args else node.kwargs["input"]
        with graph.graph.inserting_after(node):
            call = graph.graph.call_module(name, (source,))
        node.replace_all_uses_with(call)
        graph.graph.erase_node(node)


def copy_where_needed(graph: fx.GraphModule) -> None:
    """`view` becomes `reshape`: a convolution's result may lie channel-last in a converter, where a view cannot be."""
    for node in graph.graph.find_nodes(op="call_method", target="view"):
        if not any(isinstance(value, torch.dtype) for value in node.args):
            node.target = "reshape"


def fixed_pools(graph: fx.GraphModule, example: torch.Tensor) -> None:
    """Adaptive maxima become strided ones where the sizes divide; converters lower no adaptive maximum but that of the
    whole picture."""
    pools = [node for node in graph.graph.nodes if is_adaptive_maximum(graph, node)]
    if not pools:
        return
    propagate_shapes(graph, example)
    for node in pools:
        (*_, height, width), (*_, rows, columns) = shape_of(source_of(node)), shape_of(node)
        if height % rows or width % columns:
            continue
        pool = nn.MaxPool2d((height // rows, width // columns))
        call = insert_layer(graph, source_of(node), f"{node.name}_strided", pool)
        node.replace_all_uses_with(call)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()


def is_adaptive_maximum(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is the maximum of areas whose number is given, without their places."""
    layer = layer_of(graph, node)
    if layer is not None:
        return isinstance(layer, nn.AdaptiveMaxPool2d) and not layer.return_indices
    called = node.op == "call_function" and node.target is F.adaptive_max_pool2d
    return called and not node.kwargs.get("return_indices")


def as_layer(node: fx.Node) -> nn.Module | None:
    """The layer of a function call whose arguments are all numbers but the first, or None."""
    if node.op == "call_method":
        return METHODS[node.target]() if node.target in METHODS and len(node.args) == 1 else None
    if node.op != "call_function" or node.target not in FUNCTIONS:
        return None
    try:
        arguments = inspect.signature(node.target).bind(*node.args, **node.kwargs)  # type: ignore[arg-type]
        arguments.apply_defaults()
        rest = dict(list(arguments.arguments.items())[1:])
    except (TypeError, ValueError):  # a built-in without a signature
        rest = {} if len(node.args) == 1 and not node.kwargs else {"unknown": node}
    if any(isinstance(value, fx.Node) for value in rest.values()):
        return None
    return FUNCTIONS[node.target](rest)  # type: ignore[index]


def pad_layer(rest: dict[str, Any]) -> nn.Module | None:
    """F.pad of height and width."""
    pad = list(rest["pad"])
    if len(pad) not in (2, 4) or any(isinstance(value, fx.Node) for value in pad):
        return None
    pad = [*pad, 0, 0][:4]
    if rest["mode"] != "constant":
        return PADS[rest["mode"]](tuple(pad))
    return nn.ConstantPad2d(tuple(pad), rest["value"] or 0.0) if len(rest["pad"]) == 4 else None


def resize_layer(rest: dict[str, Any]) -> nn.Module | None:
    """F.interpolate without antialiasing."""
    size, scale = rest["size"], rest["scale_factor"]
    numbers = [*size] if isinstance(size, (tuple, list)) else [size]
    if rest["antialias"] or any(isinstance(value, fx.Node) for value in numbers):
        return None
    return nn.Upsample(
        tuple(size) if isinstance(size, list) else size,
        tuple(scale) if isinstance(scale, list) else scale,
        rest["mode"],
        rest["align_corners"],
        rest["recompute_scale_factor"],
    )


FUNCTIONS: dict[Any, Callable[[dict[str, Any]], nn.Module | None]] = {
    F.pad: pad_layer,
    F.interpolate: resize_layer,
    F.relu: lambda _: nn.ReLU(),
    torch.relu: lambda rest: None if rest else nn.ReLU(),
    torch.tanh: lambda rest: None if rest else nn.Tanh(),
    torch.sigmoid: lambda rest: None if rest else nn.Sigmoid(),
    F.leaky_relu: lambda rest: nn.LeakyReLU(rest["negative_slope"]),
    F.silu: lambda _: nn.SiLU(),
    F.dropout: lambda rest: None if rest["training"] is True else nn.Identity(),
    F.dropout2d: lambda rest: None if rest["training"] is True else nn.Identity(),
}
METHODS: dict[Any, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
