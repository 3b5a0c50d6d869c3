"""Branches that a width of zero empties: taken out of the traced program, what they are worth left
in their place."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import fx, nn

from edgegan.channels.calls import ELEMENTWISE, name_of
from edgegan.channels.constants import Constant
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.program import operands_of
from edgegan.channels.slicing import kept_entries
from edgegan.errors import ConfigError

SUMS = ("add", "add_", "iadd", "radd")


def without_empty(
    module: nn.Module,
    graph: ChannelGraph,
    kept: Mapping[str, torch.Tensor],
    constants: Mapping[str, Constant],
    absent: frozenset[str],
) -> fx.GraphModule:
    """The program without the groups `absent`.

    What depended on them and is constant now becomes a buffer, or nothing where it is a zero in a
    sum: the rest of the sum is then all there is, once. Raises ConfigError where a constant would
    have to be spread over an image.
    """
    program = fx.GraphModule(module, copy.deepcopy(graph.program.graph), type(module).__name__)
    originals = dict(zip(program.graph.nodes, graph.program.graph.nodes, strict=True))
    worth: dict[fx.Node, torch.Tensor] = {}
    empty: set[fx.Node] = set()
    for node in list(program.graph.nodes):
        name = originals[node].name
        segments = graph.nodes.get(name)
        touched = any(each in empty or each in worth for each in node.all_input_nodes)
        if segments is not None and {each.group for each in segments} <= absent:
            empty.add(node)
        elif not touched:
            continue
        elif node.op == "output":
            raise ConfigError("with these groups empty the output would be constant")
        elif segments is not None and name_of(node) == "cat":
            join_rest(node, empty, worth)
        elif segments is not None and everywhere(graph, kept, constants[name], name):
            worth[node] = value_of(graph, kept, constants[name], name)
        else:
            put_constants(program, node, empty, worth)
    for node in reversed(program.graph.nodes):
        if node.op not in ("output", "placeholder") and not node.users:
            program.graph.erase_node(node)
    program.delete_all_unused_submodules()
    program.recompile()
    return program


def everywhere(
    graph: ChannelGraph, kept: Mapping[str, torch.Tensor], constant: Constant, name: str
) -> bool:
    """Whether every channel that stays is constant."""
    return bool(constant.known.flatten()[kept_entries(graph, graph.nodes[name], kept)].all())


def value_of(
    graph: ChannelGraph, kept: Mapping[str, torch.Tensor], constant: Constant, name: str
) -> torch.Tensor:
    """The constants of the channels that stay, in a shape that broadcasts."""
    values = constant.value.flatten()[kept_entries(graph, graph.nodes[name], kept)]
    return values.reshape(1, -1, *constant.value.shape[2:])


def join_rest(node: fx.Node, empty: set[fx.Node], worth: Mapping[fx.Node, torch.Tensor]) -> None:
    """A concatenation without its empty parts."""
    parts = [each for each in operands_of(node) if each not in empty]
    if any(each in worth for each in parts):
        raise ConfigError(
            f"'{node.name}' joins a branch that became constant; keep a channel of it"
        )
    node.args = (parts, *node.args[1:])


def put_constants(
    program: fx.GraphModule,
    node: fx.Node,
    empty: set[fx.Node],
    worth: Mapping[fx.Node, torch.Tensor],
) -> None:
    """Replaces a constant operand by a buffer; a zero in a sum goes, and the sum with it."""
    constant = [each for each in node.all_input_nodes if each in worth]
    if name_of(node) not in ELEMENTWISE or any(each in empty for each in node.all_input_nodes):
        raise ConfigError(f"'{node.name}' needs a group that has no channels left; keep one")
    for each in constant:
        others = [other for other in node.all_input_nodes if other is not each]
        if name_of(node) in SUMS and len(others) == 1 and not worth[each].any():
            node.replace_all_uses_with(others[0])
            return
        buffer = f"constant_{each.name}"
        program.register_buffer(buffer, worth[each].to(next(program.parameters())))
        with program.graph.inserting_before(node):
            stored = program.graph.create_node("get_attr", buffer)
        node.replace_input_with(each, stored)
