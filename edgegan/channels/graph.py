"""The channel graph of a generator: which dimensions of which tensors must have one width, found by
tracing once.

Rules for the layers are in `rules.py`, the bookkeeping of ties in `ties.py`; this file walks the
trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from edgegan.channels import rules
from edgegan.channels.calls import argument, call, name_of, pixel_shuffle, reshape
from edgegan.channels.program import (
    WAY_OUT,
    aliases,
    describe,
    evaluating,
    follow_channels,
    operands_of,
    shape_of,
)
from edgegan.channels.tracing import symbolic_trace
from edgegan.channels.ties import Layout, Variable, resolve
from edgegan.errors import ConfigError


@dataclass(frozen=True)
class Segment:
    """A run of a dimension: `repeat` neighbouring entries for each channel of `group`."""

    group: str
    repeat: int


@dataclass(frozen=True)
class Member:
    """A dimension of a parameter or buffer in which a group occurs, with all segments of that
    dimension."""

    tensor: str
    dim: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Group:
    """Channels that live and die together. `name` is the layer that makes them first, or a network
    input.

    Groups of the network's input and output are `fixed`.
    """

    name: str
    size: int
    fixed: bool
    members: tuple[Member, ...]


@dataclass(frozen=True)
class LayerCount:
    """An integer attribute of a layer, or the first of a tuple: entries of `segments` /
    `divisor`."""

    module: str
    attribute: str
    segments: tuple[Segment, ...]
    divisor: int


@dataclass(frozen=True)
class ChannelGraph:
    """Everything that a change of widths needs to know.

    `dimensions[tensor][dim]` are the segments of a tensor's dimension, `counts` the integers of
    layers that follow, `nodes[node name]` the segments of a traced value's channel axis. `program`
    is the trace; `rewritten` says that its literal sizes were made to follow the channels, so that
    it must run instead of the module's own forward.
    """

    groups: dict[str, Group]
    dimensions: dict[str, dict[int, tuple[Segment, ...]]]
    counts: tuple[LayerCount, ...]
    nodes: dict[str, tuple[Segment, ...]]
    program: fx.GraphModule
    rewritten: bool

    def free(self) -> list[Group]:
        """The groups whose width can change, in the order the network makes them."""
        return [group for group in self.groups.values() if not group.fixed]

    def total(self, segments: tuple[Segment, ...]) -> int:
        """Entries of a full dimension."""
        return sum(self.groups[each.group].size * each.repeat for each in segments)


def trace_channels(
    module: nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...]
) -> ChannelGraph:
    """Traces `module` on an example (a tensor, or a tuple for several inputs; each (N, C, ...),
    small is enough).

    Weights and modes are left alone. Raises ConfigError for control flow that depends on tensors
    and for an operation without a rule, naming it and its place in the module tree.
    """
    program = symbolic_trace(module, example)
    with evaluating(module):
        ShapeProp(program).propagate(*(example if isinstance(example, tuple) else (example,)))
    values: dict[fx.Node, Any] = {}
    buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    trace = rules.Trace(aliases=aliases(module), tensors=buffers | parameters)
    for node in program.graph.nodes:
        try:
            values[node] = evaluate(trace, program, node, values)
        except ConfigError as error:
            raise ConfigError(f"{describe(program, node)}: {error}; {WAY_OUT}") from error
    rewritten = [
        node for node in list(program.graph.nodes) if follow_channels(program, node, values)
    ]
    program.recompile()
    return freeze(trace, program, values, bool(rewritten))


def evaluate(
    trace: rules.Trace, program: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]
) -> Any:
    """The channels of a node: a Value, a list of them (chunk), or None where there is no tensor
    with channels."""
    if node.op == "output":
        for result in node.all_input_nodes:
            pin(values[result])
        return None
    shape = shape_of(node)
    if node.op == "placeholder":
        return None if shape is None else source(trace, node.name, shape, fixed=True)
    if node.op == "get_attr":
        return attribute(trace, program, str(node.target))
    operands = [values[each] for each in operands_of(node) if values[each] is not None]
    if operands and shape is None and "tensor_meta" in node.meta and name_of(node) != "chunk":
        raise ConfigError("it makes several tensors, and no rule says what it does to channels")
    if not operands or (shape is None and name_of(node) != "chunk"):
        return None
    if isinstance(operands[0], list):
        return operands[0][argument(node, 1, "index", 0)]
    if node.op == "call_module":
        return layer_value(trace, program, node, operands[0], shape or ())
    if name_of(node) == "chunk":
        return chunks(trace, node, operands[0])
    return call(trace, node, operands, shape or ())


def source(
    trace: rules.Trace, name: str, shape: tuple[int, ...], fixed: bool
) -> rules.Value | None:
    """A network input (N, C, ...); None for one without channels."""
    if len(shape) < 2:
        return None
    return rules.Value(shape, 1, trace.ties.new(name, shape[1], fixed))


def attribute(trace: rules.Trace, program: fx.GraphModule, name: str) -> rules.Value | None:
    """A parameter or buffer used directly: its channels are its one wide axis, or axis 1 of (1, C,
    ...)."""
    owner, _, leaf = name.rpartition(".")
    tensor = getattr(program.get_submodule(owner), leaf)
    if not isinstance(tensor, torch.Tensor) or tensor.numel() == 1:
        return None
    shape = tuple(tensor.shape)
    if name not in trace.tensors:
        raise ConfigError("it is a tensor of stated size made in the code; register it as a buffer")
    wide = [axis for axis, size in enumerate(shape) if size > 1]
    if len(wide) > 1 and (shape[0] != 1 or shape[1] == 1):
        raise ConfigError(f"tensor '{name}' {shape} has several wide axes")
    axis = wide[0]
    return rules.Value(shape, axis, rules.produced(trace, name, axis, name, shape[axis]))


def layer_value(
    trace: rules.Trace,
    program: fx.GraphModule,
    node: fx.Node,
    x: rules.Value,
    shape: tuple[int, ...],
) -> rules.Value:
    """The rule of a leaf module."""
    name = str(node.target)
    layer = program.get_submodule(name)
    if isinstance(layer, (nn.Flatten, nn.Unflatten)):
        value = reshape(trace.ties, x, shape)
        if isinstance(layer, nn.Unflatten):
            trace.follow(name, "unflattened_size", value.layout)
        return value
    if isinstance(layer, nn.PixelShuffle):
        return pixel_shuffle(x, layer.upscale_factor, trace.ties, shape)
    if hasattr(layer, "parametrizations") or hasattr(layer, "weight_orig"):
        raise ConfigError("its weight is parametrised (spectral or weight norm); remove that first")
    for kind in type(layer).__mro__:
        if kind in rules.LAYERS:
            return rules.LAYERS[kind](trace, name, layer, x, shape)
    raise ConfigError("no rule says what it does to channels")


def chunks(trace: rules.Trace, node: fx.Node, x: rules.Value) -> list[rules.Value]:
    """torch.chunk along channels."""
    if int(argument(node, 2, "dim", 0)) % len(x.shape) != x.axis:
        raise ConfigError("it cuts along another axis than channels")
    parts = trace.ties.chunk(x.layout, int(argument(node, 1, "chunks", 1)))
    return [x.with_layout(part) for part in parts]


def pin(value: Any) -> None:
    """Fixes the groups of a network output."""
    for each in value if isinstance(value, list) else [value]:
        if each is not None:
            for part in resolve(each.layout):
                part.variable.fixed = True


def freeze(
    trace: rules.Trace, program: fx.GraphModule, values: dict[fx.Node, Any], rewritten: bool
) -> ChannelGraph:
    """Turns variables into named groups."""
    names: dict[Variable, str] = {}
    layouts = [*trace.dimensions.values(), *(each.layout for each in trace.attributes.values())]
    layouts += [value.layout for value in values.values() if isinstance(value, rules.Value)]
    roots = {part.variable for layout in layouts for part in resolve(layout)}
    for root in sorted(roots, key=lambda each: (each.order, each.name)):
        names[root] = root.name if root.name not in names.values() else next(unused(root, names))

    def segments(layout: Layout) -> tuple[Segment, ...]:
        return tuple(Segment(names[part.variable], part.repeat) for part in resolve(layout))

    dimensions: dict[str, dict[int, tuple[Segment, ...]]] = {}
    members: dict[str, list[Member]] = {name: [] for name in names.values()}
    for (tensor, dim), layout in trace.dimensions.items():
        found = segments(layout)
        dimensions.setdefault(tensor, {})[dim] = found
        for group in dict.fromkeys(each.group for each in found):
            members[group].append(Member(tensor, dim, found))
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
        for node, value in values.items()
        if isinstance(value, rules.Value)
    }
    return ChannelGraph(groups, dimensions, counts, nodes, program, rewritten)


def unused(root: Variable, names: dict[Variable, str]) -> Iterator[str]:
    """Names for a group whose own is taken."""
    taken = set(names.values())
    return (f"{root.name}:{i}" for i in range(len(taken) + 1) if f"{root.name}:{i}" not in taken)
