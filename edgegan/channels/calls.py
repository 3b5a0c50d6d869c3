"""What functions and methods of tensors do to channels: reshapes, joins, products, statistics."""

from __future__ import annotations

import math
from typing import Any

from torch import fx, nn

from edgegan.channels.rules import Shape, Trace, Value, keep, need_channels
from edgegan.channels.ties import Ties, resolve, times, total
from edgegan.errors import ConfigError

RESHAPES = {"view", "reshape", "flatten", "unflatten"}
ELEMENTWISE = {
    *(
        "add",
        "add_",
        "sub",
        "sub_",
        "mul",
        "mul_",
        "div",
        "div_",
        "truediv",
        "iadd",
        "isub",
        "imul",
    ),
    *("itruediv", "maximum", "minimum", "pow", "rsub", "radd", "where", "lerp", "addcmul"),
}
POINTWISE = {
    *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "gelu", "silu", "mish", "tanh"),
    *("sigmoid", "hardswish", "hardsigmoid", "hardtanh", "softplus", "softsign", "logsigmoid"),
    *("clamp", "clamp_", "clip", "abs", "neg", "exp", "log", "sqrt", "rsqrt", "square", "sin"),
    "cos",
}
SAME = POINTWISE | {
    *("dropout", "dropout2d", "interpolate", "upsample", "pad", "avg_pool2d", "max_pool2d"),
    *("adaptive_avg_pool2d", "instance_norm", "contiguous", "clone", "detach", "float", "to"),
    *("zeros_like", "ones_like", "randn_like", "rand_like"),
}
REDUCTIONS = {"mean", "var", "std", "sum", "amax", "amin"}


def name_of(node: fx.Node) -> str:
    """The plain name of a called function or method."""
    target = node.target
    return (
        target if isinstance(target, str) else getattr(target, "__name__", str(target)).lstrip("_")
    )


def call(trace: Trace, node: fx.Node, values: list[Value], shape: Shape) -> Value:
    """The rule for a function or method of tensors; raises ConfigError when there is none."""
    name = name_of(node)
    if name in ELEMENTWISE:
        return elementwise(trace.ties, values, shape)
    if name in ("cat", "concat"):
        dim = int(argument(node, 1, "dim", 0)) % len(shape)
        if any(value.axis != dim for value in values):
            raise ConfigError(f"it joins along axis {dim}, which does not hold channels")
        return concatenate(values, shape)
    if name in RESHAPES:
        return reshape(trace.ties, values[0], shape)
    if name == "pixel_shuffle":
        return pixel_shuffle(
            values[0], int(argument(node, 1, "upscale_factor", 1)), trace.ties, shape
        )
    if name == "getitem":
        return take(node, values[0], shape)
    if name in REDUCTIONS:
        return reduce(trace, node, values[0], shape)
    if name in SAME:
        if len(values) > 1:
            raise ConfigError("it takes tensors beside its input")
        return same(trace, node, values[0], shape)
    raise ConfigError("no rule says what it does to channels")


def take(node: fx.Node, x: Value, shape: Shape) -> Value:
    """x[:, :, a:b, c:d]: cropping, never of channels."""
    index = node.args[1]
    index = index if isinstance(index, tuple) else (index,)
    whole = all(isinstance(each, slice) for each in index)
    if not whole or (len(index) > x.axis and index[x.axis] != slice(None)):
        raise ConfigError("it takes channels or axes by number")
    return Value(shape, x.axis, x.layout)


def same(trace: Trace, node: fx.Node, x: Value, shape: Shape) -> Value:
    """Pointwise functions and spatial resampling."""
    return keep(trace, node.name, nn.Identity(), x, shape)


def reduce(trace: Trace, node: fx.Node, x: Value, shape: Shape) -> Value:
    """Statistics over space keep the channels; over channels they leave one, of which nothing can
    be cut."""
    dims = argument(node, 1, "dim", None)
    dims = range(len(x.shape)) if dims is None else (dims,) if isinstance(dims, int) else dims
    gone = {int(dim) % len(x.shape) for dim in dims}
    if len(shape) < len(x.shape) and min(gone) <= x.axis:
        raise ConfigError("it removes the channel axis; pass keepdim=True")
    if x.axis in gone:
        return Value(shape, x.axis, trace.ties.new(node.name, 1, fixed=True))
    return Value(shape, x.axis, x.layout)


def argument(node: fx.Node, position: int, keyword: str, default: Any) -> Any:
    """An argument of a call by place or name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(keyword, default)


def pixel_shuffle(x: Value, factor: int, ties: Ties, shape: Shape) -> Value:
    """(N, C r r, H, W) -> (N, C, H r, W r); the r * r copies of a channel are neighbours."""
    need_channels(x)
    return Value(shape, 1, ties.divide(x.layout, factor * factor))


def reshape(ties: Ties, x: Value, shape: Shape) -> Value:
    """view, reshape, flatten, unflatten: splits trailing axes off the channel axis or merges them
    into it."""
    axis = x.axis
    if len(shape) <= axis or shape[:axis] != x.shape[:axis]:
        raise ConfigError(f"{x.shape} -> {shape} moves the channel axis")
    before, after = x.shape[axis], shape[axis]
    if after == before:
        layout = x.layout
    elif after % before == 0:
        layout = times(x.layout, after // before)
    elif before % after == 0:
        layout = ties.divide(x.layout, before // after)
    else:
        raise ConfigError(f"{x.shape} -> {shape} regroups channels")
    return Value(shape, axis, layout)


def elementwise(ties: Ties, values: list[Value], shape: Shape) -> Value:
    """Sums, products and the like, broadcast: all operands wider than one channel are tied."""
    rank = len(shape)
    placed = [(value, value.axis + rank - len(value.shape)) for value in values]
    wide = [(value, axis) for value, axis in placed if value.shape[value.axis] > 1]
    (first, axis), *rest = wide or placed
    for value, other in rest:
        if other != axis:
            raise ConfigError("operands hold channels in different axes")
        ties.unify(first.layout, value.layout)
    for value, other in placed:
        if other != axis and value.shape[value.axis] == 1 and math.prod(value.shape) > 1:
            raise ConfigError("operands hold channels in different axes")
    if shape[axis] != total(first.layout):
        raise ConfigError("broadcasting widens a channel axis of one")
    return Value(shape, axis, resolve(first.layout))


def concatenate(values: list[Value], shape: Shape) -> Value:
    """Along channels: the segments in a row."""
    layout = sum((resolve(value.layout) for value in values), ())
    if total(layout) != shape[values[0].axis]:
        raise ConfigError("it joins tensors of which some have channels of unknown origin")
    return Value(shape, values[0].axis, layout)
