"""The traced program of a generator: names and shapes of its operations, and reshapes that follow
widths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from edgegan.channels import rules
from edgegan.channels.calls import RESHAPES, name_of, spread
from edgegan.channels.ties import is_fixed


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Context of evaluation mode without gradients; afterwards every layer is in the mode it was in."""
    modes = {layer: layer.training for module in modules for layer in module.modules()}
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def operands_of(node: fx.Node) -> list[fx.Node]:
    """Nodes that a node reads, in order, as often as it reads them."""
    found: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), found.append)
    return found


def aliases(module: nn.Module) -> dict[str, str]:
    """Every further name of a shared parameter, with its first name."""
    first: dict[int, str] = {}
    names = ((name, id(each)) for name, each in module.named_parameters(remove_duplicate=False))
    return {name: first[key] for name, key in names if first.setdefault(key, name) != name}


def shape_of(node: fx.Node) -> tuple[int, ...] | None:
    """The traced shape of a node's tensor, or None."""
    shape = getattr(node.meta.get("tensor_meta"), "shape", None)
    return None if shape is None else tuple(shape)


def describe(program: fx.GraphModule, node: fx.Node) -> str:
    """An operation and its place, such as "torch.bmm in 'middle.attention' (Attention)"."""
    if node.op == "call_module":
        return f"{type(program.get_submodule(str(node.target))).__name__} '{node.target}'"
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    place = (
        f"'{stack[-1][0]}' ({stack[-1][1].__name__})" if stack else "the generator's own forward"
    )
    return f"operation {name_of(node)} in {place}"


def place_of(node: fx.Node) -> str:
    """The path of the innermost module that a node was traced in, "" for the generator itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def stated_sizes(node: fx.Node, value: Any) -> list[Any] | None:
    """The sizes of a reshape that states its channels, some of which can go, as a number; None for
    any other operation."""
    reshapes = node.op != "call_module" and name_of(node) in RESHAPES
    if not isinstance(value, rules.Value) or not reshapes or is_fixed(value.layout):
        return None
    if name_of(node) in ("unflatten", "flatten"):
        return list(value.shape) if name_of(node) == "unflatten" else None
    sizes = spread(node)
    stated = sizes[value.axis]
    return None if isinstance(stated, fx.Node) or stated == -1 else sizes


def inferred_sizes(node: fx.Node, value: rules.Value, before: rules.Value) -> list[Any] | None:
    """The sizes of such a reshape with its channels inferred (-1) and "size" where the size of the
    tensor before it is taken; None where two would have to be inferred."""
    sizes = list(stated_sizes(node, value) or ())
    axis, kept = value.axis, before.shape[: value.axis] == value.shape[: value.axis]
    for index, size in enumerate(sizes):
        if isinstance(size, fx.Node) or index == axis:
            continue
        if size == -1 and (index > axis or not kept):
            return None
        if index < axis and kept:
            sizes[index] = "size"
    sizes[axis] = -1
    return sizes


def infer_channels(
    program: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any], sizes: list[Any]
) -> None:
    """Puts a reshape with inferred channels in the place of one that states them."""
    before = node.all_input_nodes[0]
    with program.graph.inserting_before(node):
        for index, size in enumerate(sizes):
            if size == "size":
                sizes[index] = program.graph.call_method("size", (before, index))
        fresh = program.graph.call_method("reshape", (before, *sizes))
    fresh.meta = dict(node.meta)
    values[fresh] = values[node]
    node.replace_all_uses_with(fresh)
    program.graph.erase_node(node)
