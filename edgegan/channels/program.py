"""The traced program of a generator: tracing with a place for every complaint, and reshapes that
follow widths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from edgegan.channels import rules
from edgegan.channels.calls import name_of
from edgegan.errors import ConfigError

WAY_OUT = "widths cannot change around it; write it with supported layers, or leave it out"


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


def follow_channels(program: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Rewrites a reshape that states its channels as a number into one that infers them; True when
    it did."""
    reshapes = node.op != "call_module" and name_of(node) in {"view", "reshape", "unflatten"}
    if not isinstance(values[node], rules.Value) or not reshapes:
        return False
    before, axis, shape = node.all_input_nodes[0], values[node].axis, values[node].shape
    sizes: list[Any] = list(shape)
    if name_of(node) != "unflatten":
        given = node.args[1:] or tuple(node.kwargs.values())
        sizes = list(given[0] if isinstance(given[0], (tuple, list)) else given)
        if isinstance(sizes[axis], fx.Node) or sizes[axis] == -1:
            return False
    sizes[axis] = -1
    with program.graph.inserting_before(node):
        for index, size in enumerate(sizes):
            if index != axis and (size == -1 or index < axis):
                if index >= axis:
                    raise ConfigError(f"{describe(program, node)}: two sizes to infer; {WAY_OUT}")
                sizes[index] = program.graph.call_method("size", (before, index))
        fresh = program.graph.call_method("reshape", (before, *sizes))
    fresh.meta = dict(node.meta)
    values[fresh] = values[node]
    node.replace_all_uses_with(fresh)
    program.graph.erase_node(node)
    return True
