"""What every traced operation does to channels, and what becomes of those around an operation that
no rule knows: they keep their width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from edgegan.channels import rules
from edgegan.channels.calls import (
    argument,
    call,
    name_of,
    pixel_shuffle,
    pixel_unshuffle,
    reshape,
)
from edgegan.channels.program import describe, operands_of, shape_of
from edgegan.channels.ties import Variable, is_fixed, resolve
from edgegan.errors import ConfigError


@dataclass(frozen=True)
class Hold:
    """An operation around which channels keep their width, why, and the channels whose width it
    took away."""

    operation: str
    reason: str
    variables: tuple[Variable, ...]


@dataclass
class Following:
    """The channels of every node of a program, and what holds some of them."""

    trace: rules.Trace
    program: fx.GraphModule
    values: dict[fx.Node, Any] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)

    def follow(self, node: fx.Node) -> None:
        """Notes the channels of a node whose operands are known."""
        try:
            value = evaluate(self.trace, self.program, node, self.values)
        except ConfigError as error:
            self.hold(node, str(error))
            value = None
        self.values[node] = stand_in(self.trace, node) if value is None else value

    def hold(self, node: fx.Node, reason: str) -> None:
        """Fixes the channels of everything that a node reads and of its own weights."""
        if node.op in ("call_module", "get_attr"):
            self.trace.hold(str(node.target))
        found = [part for each in sources(node) for part in variables_of(self.values[each])]
        self.fix(describe(self.program, node), reason, found)

    def fix(self, operation: str, reason: str, variables: list[Variable]) -> None:
        """Fixes channels and notes which could have changed until now."""
        taken = tuple(dict.fromkeys(each for each in variables if not each.fixed))
        for each in taken:
            each.fixed = True
        self.holds.append(Hold(operation, reason, taken))

    def hold_weights(self) -> None:
        """Fixes the channels of tensors that keep their shape, whoever else reads them."""
        for (tensor, _), layout in self.trace.dimensions.items():
            if tensor in self.trace.held and not is_fixed(layout):
                self.fix(f"tensor '{tensor}'", "its shape is kept", list(variables_in(layout)))


def sources(node: fx.Node) -> Iterator[fx.Node]:
    """The tensors that a node reads, those among them of which it reads sizes only."""
    for each in operands_of(node):
        if "tensor_meta" in each.meta:
            yield each
        else:
            yield from sources(each)


def variables_in(layout: Any) -> Iterator[Variable]:
    """The unbound variables of a layout."""
    return (part.variable for part in resolve(layout))


def variables_of(value: Any) -> Iterator[Variable]:
    """The unbound variables of a value, or of a list of them."""
    for each in value if isinstance(value, list) else [value]:
        if each is not None:
            yield from variables_in(each.layout)


def evaluate(
    trace: rules.Trace, program: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]
) -> Any:
    """The channels of a node: a Value, a list of them (chunk), or None where nothing is known of
    them; raises ConfigError where no rule says what happens to those of its operands."""
    if node.op == "output":
        for result in node.all_input_nodes:
            for variable in variables_of(values[result]):
                variable.fixed = True
        return None
    shape, meta = shape_of(node), node.meta.get("tensor_meta")
    if node.op == "placeholder":
        return None if shape is None else source(trace, node.name, shape, fixed=True)
    if node.op == "get_attr":
        return attribute(trace, program, str(node.target))
    name = name_of(node)
    operands = [values[each] for each in operands_of(node) if values[each] is not None]
    if operands and name == "setitem":
        raise ConfigError("it writes into a part of a tensor")
    if not operands or meta is None or (shape is not None and math.prod(shape) <= 1):
        return None
    if name == "getitem" and isinstance(operands[0], list):
        return operands[0][argument(node, 1, "index", 0)]
    operands = [part for each in operands for part in (each if isinstance(each, list) else [each])]
    if shape is None:
        return pieces(trace, node, operands[0], meta)
    if node.op == "call_module":
        return layer_value(trace, program, node, operands[0], shape)
    return call(trace, node, operands, shape)


def stand_in(trace: rules.Trace, node: fx.Node) -> Any:
    """A tensor of which no rule says what its channels are: its shape is the same at every width,
    since all that it is made of keeps its own."""
    meta = node.meta.get("tensor_meta")
    if node.op == "output" or meta is None:
        return None
    return kept(trace, node.name, meta)


def kept(trace: rules.Trace, name: str, meta: Any) -> Any:
    """The value of a tensor that keeps its shape, of several, or None without channels."""
    shape = getattr(meta, "shape", None)
    if shape is None:
        several = isinstance(meta, (tuple, list))
        return [kept(trace, name, each) for each in meta] if several else None
    if math.prod(shape) <= 1:
        return None
    axis = min(1, len(shape) - 1)
    return rules.Value(tuple(shape), axis, trace.ties.new(name, shape[axis], fixed=True))


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
    shape = tuple(tensor.shape)
    if math.prod(shape) == 1:
        return None
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
        return pixel_shuffle(trace, x, layer.upscale_factor, shape)
    if isinstance(layer, nn.PixelUnshuffle):
        return pixel_unshuffle(trace, x, layer.downscale_factor, shape)
    if hasattr(layer, "parametrizations") or hasattr(layer, "weight_orig"):
        raise ConfigError("its weight is parametrised (spectral or weight norm); remove that first")
    for kind in type(layer).__mro__:
        if kind in rules.LAYERS:
            return rules.LAYERS[kind](trace, name, layer, x, shape)
    raise ConfigError("no rule says what it does to channels")


def pieces(trace: rules.Trace, node: fx.Node, x: rules.Value, meta: Any) -> list[rules.Value]:
    """chunk and split: equal runs of channels, or cuts along another axis; unbind of another
    axis."""
    name, shapes = name_of(node), [tuple(each.shape) for each in meta]
    if name not in ("chunk", "split", "unbind"):
        raise ConfigError("it makes several tensors, and no rule says what it does to channels")
    axis = int(argument(node, 1 if name == "unbind" else 2, "dim", 0)) % len(x.shape)
    if axis != x.axis:
        left = x.axis - (name == "unbind" and axis < x.axis)
        return [rules.Value(shape, left, x.layout) for shape in shapes]
    if name == "unbind" or len({shape[axis] for shape in shapes}) > 1:
        raise ConfigError("it cuts channels at stated places")
    if name == "split" and not isinstance(argument(node, 1, "split_size", 1), fx.Node):
        raise ConfigError("it cuts channels at stated places")
    return [x.with_layout(part) for part in trace.ties.chunk(x.layout, len(shapes))]
