"""What functions and methods of tensors do to channels: reshapes, joins, products, statistics."""

from __future__ import annotations

import math
from typing import Any

from torch import fx, nn

from edgegan.channels.rules import Shape, Trace, Value, keep
from edgegan.channels.ties import Ties, is_fixed, resolve, times, total
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
    *("adaptive_avg_pool2d", "adaptive_max_pool2d", "instance_norm", "contiguous", "clone"),
    *("detach", "float", "to", "type_as", "zeros_like", "ones_like", "randn_like", "rand_like"),
    *("softmax", "log_softmax", "normalize"),
}
MOVES = {"permute", "transpose", "swapaxes", "unsqueeze", "squeeze"}
PRODUCTS = {"matmul", "bmm"}
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
        return elementwise(trace, values, shape)
    if name in ("cat", "concat"):
        dim = int(argument(node, 1, "dim", 0)) % len(shape)
        if any(not is_fixed(value.layout) and value.axis != dim for value in values):
            return beside(trace, values, shape)
        return concatenate([trace.at_axis(value, dim) for value in values], shape)
    if name in RESHAPES:
        return reshape(trace.ties, values[0], shape)
    if name == "pixel_shuffle":
        return pixel_shuffle(trace, values[0], int(argument(node, 1, "upscale_factor", 1)), shape)
    if name == "pixel_unshuffle":
        return pixel_unshuffle(
            trace, values[0], int(argument(node, 1, "downscale_factor", 1)), shape
        )
    if name in MOVES:
        return move(node, values[0], shape)
    if name in PRODUCTS and len(values) == 2:
        return product(trace, node, values, shape)
    if name in ("expand", "expand_as", "repeat"):
        return widen(trace, node, values, shape)
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
    """x[:, :, a:b, None, 0]: crops, new axes and axes taken by number, never of channels."""
    given = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    taken = sum(each is not None and each is not Ellipsis for each in given)
    index: list[Any] = []
    for each in given:
        index += [slice(None)] * (len(x.shape) - taken) if each is Ellipsis else [each]
    before, after = 0, 0
    for each in index:
        if each is None:
            after += 1
            continue
        if before == x.axis:
            if each != slice(None):
                raise ConfigError("it takes channels by number")
            break
        if not isinstance(each, (int, slice)):
            raise ConfigError("it takes axes by an index that is made while it runs")
        after += isinstance(each, slice)
        before += 1
    return Value(shape, after + x.axis - before, x.layout)


def move(node: fx.Node, x: Value, shape: Shape) -> Value:
    """Axes in another order, or more or fewer of length one: the channels go along."""
    name, rank = name_of(node), len(x.shape)
    if name == "permute":
        order = [int(each) % rank for each in spread(node)]
        return Value(shape, order.index(x.axis), x.layout)
    if name in ("transpose", "swapaxes"):
        one = int(argument(node, 1, "dim0", 0)) % rank
        other = int(argument(node, 2, "dim1", 1)) % rank
        return Value(shape, {one: other, other: one}.get(x.axis, x.axis), x.layout)
    if name == "unsqueeze":
        place = int(argument(node, 1, "dim", 0)) % (rank + 1)
        return Value(shape, x.axis + (place <= x.axis), x.layout)
    dims = argument(node, 1, "dim", None)
    if dims is None:
        raise ConfigError("it drops every axis of length one; say which with dim")
    gone = {int(dim) % rank for dim in (dims if isinstance(dims, tuple) else (dims,))}
    gone = {dim for dim in gone if x.shape[dim] == 1}
    if x.axis in gone:
        raise ConfigError("it removes the channel axis")
    return Value(shape, x.axis - sum(dim < x.axis for dim in gone), x.layout)


def product(trace: Trace, node: fx.Node, values: list[Value], shape: Shape) -> Value:
    """(..., n, k) @ (..., k, m): channels that are summed over must be the same in both; those of
    the second's last axis stay."""
    left, right = values
    if min(len(left.shape), len(right.shape)) < 2:
        raise ConfigError("it multiplies by a vector")
    if is_fixed(left.layout):
        return Value(shape, len(shape) - 1, trace.at_axis(right, -1).layout)
    if left.axis == len(left.shape) - 1:
        right = trace.at_axis(right, -2)
        trace.ties.unify(left.layout, right.layout)
        return Value(shape, len(shape) - 1, trace.ties.new(node.name, shape[-1], fixed=True))
    if left.axis == len(left.shape) - 2 and is_fixed(right.layout):
        return Value(shape, len(shape) - 2, left.layout)
    raise ConfigError("it multiplies along an axis that does not hold channels")


def widen(trace: Trace, node: fx.Node, values: list[Value], shape: Shape) -> Value:
    """expand, expand_as and repeat along other axes than channels."""
    x = values[0]
    axis = x.axis + len(shape) - len(x.shape)
    if name_of(node) == "expand_as" and len(values) == 2:
        return elementwise(trace, values, shape)
    sizes = spread(node)
    if len(sizes) != len(shape) or shape[axis] != x.shape[x.axis]:
        raise ConfigError("it repeats channels")
    stated = sizes[axis]
    if name_of(node) == "expand" and isinstance(stated, int) and stated != -1:
        raise ConfigError("it states the number of channels")
    return Value(shape, axis, x.layout)


def same(trace: Trace, node: fx.Node, x: Value, shape: Shape) -> Value:
    """Pointwise functions and spatial resampling."""
    return keep(trace, node.name, nn.Identity(), x, shape)


def reduce(trace: Trace, node: fx.Node, x: Value, shape: Shape) -> Value:
    """Statistics over space keep the channels; over channels they leave one, of which nothing can
    be cut."""
    dims = argument(node, 1, "dim", None)
    dims = range(len(x.shape)) if dims is None else (dims,) if isinstance(dims, int) else dims
    gone = {int(dim) % len(x.shape) for dim in dims}
    removed = len(shape) < len(x.shape)
    if x.axis in gone:
        axis = min(x.axis, len(shape) - 1) if removed else x.axis
        return Value(shape, axis, trace.ties.new(node.name, shape[axis], fixed=True))
    return Value(shape, x.axis - removed * sum(dim < x.axis for dim in gone), x.layout)


def argument(node: fx.Node, position: int, keyword: str, default: Any) -> Any:
    """An argument of a call by place or name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(keyword, default)


def spread(node: fx.Node) -> list[Any]:
    """What a method is given after its tensor: numbers one by one, or one row of them."""
    given: Any = node.args[1:] or tuple(node.kwargs.values())
    return list(given[0] if given and isinstance(given[0], (tuple, list)) else given)


def pixel_shuffle(trace: Trace, x: Value, factor: int, shape: Shape) -> Value:
    """(N, C r r, H, W) -> (N, C, H r, W r); the r * r copies of a channel are neighbours."""
    x = trace.at_axis(x, 1)
    return Value(shape, 1, trace.ties.divide(x.layout, factor * factor))


def pixel_unshuffle(trace: Trace, x: Value, factor: int, shape: Shape) -> Value:
    """(N, C, H r, W r) -> (N, C r r, H, W)."""
    x = trace.at_axis(x, 1)
    return Value(shape, 1, times(x.layout, factor * factor))


def reshape(ties: Ties, x: Value, shape: Shape) -> Value:
    """view, reshape, flatten, unflatten: splits trailing axes off the channel axis or merges them
    into it, moves an axis that is the only wide one, or regroups the axes before it."""
    wide = [each for each, size in enumerate(shape) if size > 1]
    if math.prod(x.shape) == x.shape[x.axis] > 1 and len(wide) == 1:
        return Value(shape, wide[0], x.layout)
    before = x.shape[x.axis]
    axis = channel_axis(x, shape)
    if axis is None:
        raise ConfigError(f"{x.shape} -> {shape} moves the channel axis")
    after = shape[axis]
    if after == before:
        layout = x.layout
    elif after % before == 0:
        layout = times(x.layout, after // before)
    elif before % after == 0:
        layout = ties.divide(x.layout, before // after)
    else:
        raise ConfigError(f"{x.shape} -> {shape} regroups channels")
    return Value(shape, axis, layout)


def channel_axis(x: Value, shape: Shape) -> int | None:
    """The axis of a reshaped tensor that begins where the channel axis did."""
    if len(shape) > x.axis and shape[: x.axis] == x.shape[: x.axis]:
        return x.axis
    lead = math.prod(x.shape[: x.axis])
    fits = [axis for axis in range(len(shape)) if math.prod(shape[:axis]) == lead]
    equal = [axis for axis in fits if shape[axis] == x.shape[x.axis]]
    return next(iter([*equal, *reversed(fits)]), None)


def elementwise(trace: Trace, values: list[Value], shape: Shape) -> Value:
    """Sums, products and the like, broadcast: all operands wider than one channel are tied."""
    placed = at_one_axis(trace, values, len(shape))
    wide = [(value, axis) for value, axis in placed if value.shape[value.axis] > 1]
    (first, axis), *rest = wide or placed
    for value, other in rest:
        if other != axis:
            raise ConfigError("operands hold channels in different axes")
        trace.ties.unify(first.layout, value.layout)
    for value, other in placed:
        if other != axis and value.shape[value.axis] == 1 and math.prod(value.shape) > 1:
            raise ConfigError("operands hold channels in different axes")
    if shape[axis] != total(first.layout):
        raise ConfigError("broadcasting widens a channel axis of one")
    return Value(shape, axis, resolve(first.layout))


def at_one_axis(trace: Trace, values: list[Value], rank: int) -> list[tuple[Value, int]]:
    """Operands with the axis of the result that holds their channels; those whose channels are all
    kept are read along the axis of the first that has channels to lose."""
    free = [value for value in values if not is_fixed(value.layout)]
    if not free:
        return [(value, value.axis + rank - len(value.shape)) for value in values]
    axis = free[0].axis + rank - len(free[0].shape)
    placed = []
    for value in values:
        own = axis - (rank - len(value.shape))
        if is_fixed(value.layout) and own >= 0:
            value = trace.at_axis(value, own)
        elif is_fixed(value.layout):
            continue
        placed.append((value, value.axis + rank - len(value.shape)))
    return placed


def beside(trace: Trace, values: list[Value], shape: Shape) -> Value:
    """Joined along another axis than channels: all have the same channels."""
    free = next(value for value in values if not is_fixed(value.layout))
    for value in values:
        trace.ties.unify(free.layout, trace.at_axis(value, free.axis).layout)
    return Value(shape, free.axis, resolve(free.layout))


def concatenate(values: list[Value], shape: Shape) -> Value:
    """Along channels: the segments in a row."""
    layout = sum((resolve(value.layout) for value in values), ())
    if total(layout) != shape[values[0].axis]:
        raise ConfigError("it joins tensors of which some have channels of unknown origin")
    return Value(shape, values[0].axis, layout)
