"""The channel graph of a generator: which dimensions of which tensors must have one width, found by
tracing once.

Rules for the layers are in `rules.py`, the bookkeeping of ties in `ties.py`, the walk along the trace
in `following.py`; this file gives what they found its names.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from edgegan.channels import rules
from edgegan.channels.calls import RESHAPES, name_of
from edgegan.channels.following import Following, variables_in
from edgegan.channels.groups import ChannelGraph, Group, Held, LayerCount, Member, Segment
from edgegan.channels.program import (
    aliases,
    evaluating,
    infer_channels,
    inferred_sizes,
    place_of,
    stated_sizes,
)
from edgegan.channels.slicing import extract
from edgegan.channels.ties import Layout, Part, Variable, is_fixed, resolve
from edgegan.channels.tracing import TraceError, symbolic_trace


def trace_channels(
    module: nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...]
) -> ChannelGraph:
    """Traces `module` on an example (a tensor, or a tuple for several inputs; each (N, C, ...),
    small is enough).

    Weights and modes are left alone. Channels around an operation without a rule keep their width
    (`held`). Raises ConfigError for control flow that depends on the picture, naming its place in
    the module tree.
    """
    program = symbolic_trace(module, example)
    if program.meta["stopped"] is not None:
        with evaluating(module):
            ShapeProp(program).propagate(*(example if isinstance(example, tuple) else (example,)))
    buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    trace = rules.Trace(aliases=aliases(module), tensors=buffers | parameters)
    found = Following(trace, program)
    for node in program.graph.nodes:
        found.follow(node)
    found.hold_weights()
    rewritten = follow_reshapes(found)
    program.recompile()
    graph = freeze(found, rewritten)
    while reads_sizes(found) and graph.free():
        place = first_difference(module, graph, example)
        if place is None:
            break
        hold_difference(found, place)
        graph = freeze(found, rewritten)
    return graph


def follow_reshapes(found: Following) -> bool:
    """Makes reshapes that state channels infer them; where that cannot be, the channels are kept.
    True when the program was changed.

    A program that holds for one size only cannot take the module's place, so there they are kept.
    """
    planned: dict[fx.Node, list[Any]] = {}
    for node in found.program.graph.nodes:
        value = found.values[node]
        if stated_sizes(node, value) is None:
            continue
        sizes = inferred_sizes(node, value, found.values[node.all_input_nodes[0]])
        if sizes is None or found.program.meta["settled"]:
            found.hold(node, "it states the number of channels")
        else:
            planned[node] = sizes
    changed = [node for node in planned if not is_fixed(found.values[node].layout)]
    for node in changed:
        infer_channels(found.program, node, found.values, planned[node])
    return bool(changed)


def first_difference(
    module: nn.Module, graph: ChannelGraph, example: torch.Tensor | tuple[torch.Tensor, ...]
) -> fx.Node | str | None:
    """Where the module, with half of its channels, first does something else than its program: the
    operation, or the place in the module tree where it cannot be traced; None where it does the
    same.

    A forward that takes branches by sizes, or computes sizes of tensors, may do so at other widths.
    """
    plan = {group.name: -(-group.size // 2) for group in graph.free()}
    try:
        half = symbolic_trace(extract(module, graph, plan), example)
    except TraceError as error:
        return error.place
    for one, other in zip_longest(graph.program.graph.nodes, half.graph.nodes):
        same = one and other and (one.op, str(one.target)) == (other.op, str(other.target))
        if not same or (other is half.meta["stopped"] and graph.program.meta["stopped"] is None):
            return one or ""
    return None


def hold_difference(found: Following, place: fx.Node | str) -> None:
    """Fixes the channels that an operation reads, or those of the weights of a module; where none
    of them can change, those of the module around it."""
    reason = "it does something else at other widths"
    if isinstance(place, fx.Node):
        found.hold(place, reason)
        if found.holds[-1].variables:
            return
        found.holds.pop()
        place = place_of(place)
    while place:
        taken = [
            each
            for (tensor, _), layout in found.trace.dimensions.items()
            for each in variables_in(layout)
            if tensor.startswith(f"{place}.") and not each.fixed
        ]
        if taken:
            found.fix(f"module '{place}'", reason, taken)
            return
        place = place.rpartition(".")[0]
    found.fix("the generator's own forward", reason, list(free_variables(found)))


def reads_sizes(found: Following) -> bool:
    """Whether what the generator does may depend on its widths: sizes became numbers, operations
    have no rule, or tensors are given sizes that are computed."""
    sized = (
        node.op in ("call_method", "call_function")
        and name_of(node) in (*RESHAPES, "expand", "repeat")
        and len(node.all_input_nodes) > 1
        for node in found.program.graph.nodes
    )
    return found.program.meta["settled"] or bool(found.holds) or any(sized)


def free_variables(found: Following) -> Iterator[Variable]:
    """All channels that are not held."""
    for layout in layouts(found):
        yield from (part.variable for part in resolve(layout) if not part.variable.fixed)


def layouts(found: Following) -> list[Layout]:
    """Every layout of a trace."""
    trace = found.trace
    values = (value for value in found.values.values() if isinstance(value, rules.Value))
    return [
        *trace.dimensions.values(),
        *(each.layout for each in trace.attributes.values()),
        *(value.layout for value in values),
    ]


def freeze(found: Following, rewritten: bool) -> ChannelGraph:
    """Turns variables into named groups."""
    trace = found.trace
    names: dict[Variable, str] = {}
    roots = {part.variable for layout in layouts(found) for part in resolve(layout)}
    for root in sorted(roots, key=lambda each: (each.order, each.name)):
        names[root] = root.name if root.name not in names.values() else next(unused(root, names))

    def segments(layout: Layout) -> tuple[Segment, ...]:
        return tuple(Segment(names[part.variable], part.repeat) for part in resolve(layout))

    dimensions: dict[str, dict[int, tuple[Segment, ...]]] = {}
    members: dict[str, list[Member]] = {name: [] for name in names.values()}
    for (tensor, dim), layout in trace.dimensions.items():
        runs = segments(layout)
        dimensions.setdefault(tensor, {})[dim] = runs
        for group in dict.fromkeys(each.group for each in runs):
            members[group].append(Member(tensor, dim, runs))
    counts = tuple(
        LayerCount(each.module, each.name, segments(each.layout), each.divisor)
        for each in trace.attributes.values()
    )
    groups = {
        name: Group(name, root.size, root.fixed, tuple(members[name]))
        for root, name in names.items()
    }
    nodes = {
        node.name: segments(value.layout)
        for node, value in found.values.items()
        if isinstance(value, rules.Value) and value.axis == 1
    }
    holds = tuple(
        Held(
            each.operation,
            each.reason,
            tuple(
                dict.fromkeys(
                    names[part.variable] for v in each.variables for part in resolve((Part(v),))
                )
            ),
        )
        for each in found.holds
    )
    return ChannelGraph(groups, dimensions, counts, nodes, found.program, rewritten, holds)


def unused(root: Variable, names: dict[Variable, str]) -> Iterator[str]:
    """Names for a group whose own is taken."""
    taken = set(names.values())
    return (f"{root.name}:{i}" for i in range(len(taken) + 1) if f"{root.name}:{i}" not in taken)
