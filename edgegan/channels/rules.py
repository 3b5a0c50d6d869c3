"""What every supported layer does to channels: a short function for each, and one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from edgegan.channels.ties import Layout, Ties, is_fixed, times, total
from edgegan.errors import ConfigError


@dataclass(frozen=True)
class Value:
    """A tensor while tracing: its shape in the traced network, which axis holds channels, and what
    they are."""

    shape: tuple[int, ...]
    axis: int
    layout: Layout

    def with_layout(self, layout: Layout) -> Value:
        """The same tensor with other channels."""
        shape = (*self.shape[: self.axis], total(layout), *self.shape[self.axis + 1 :])
        return Value(shape, self.axis, layout)


@dataclass(frozen=True)
class Attribute:
    """An integer of a layer that follows its channels: total(layout) / divisor."""

    module: str
    name: str
    layout: Layout
    divisor: int = 1


@dataclass
class Trace:
    """What the rules write down: tensor dimensions in layouts and integers that follow them."""

    ties: Ties = field(default_factory=Ties)
    aliases: dict[str, str] = field(default_factory=dict)
    tensors: set[str] = field(default_factory=set)
    dimensions: dict[tuple[str, int], Layout] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    attributes: dict[tuple[str, str], Attribute] = field(default_factory=dict)

    def tie(self, tensor: str, dim: int, layout: Layout) -> None:
        """States that dimension `dim` of a parameter or buffer is `layout` (again, for a layer
        called twice)."""
        tensor = self.aliases.get(tensor, tensor)
        if (tensor, dim) in self.dimensions:
            self.ties.unify(self.dimensions[tensor, dim], layout)
        else:
            self.dimensions[tensor, dim] = layout

    def follow(self, module: str, name: str, layout: Layout, divisor: int = 1) -> None:
        """States that an integer attribute of a layer counts `layout`."""
        self.attributes[module, name] = Attribute(module, name, layout, divisor)

    def hold(self, name: str) -> None:
        """States that a tensor, or every tensor of a module, keeps its shape."""
        self.held.update(
            self.aliases.get(each, each)
            for each in self.tensors
            if each == name or each.startswith(f"{name}.")
        )

    def at_axis(self, x: Value, axis: int) -> Value:
        """A tensor with its channels in this axis: where none of its channels can change, any axis
        is as good; raises ConfigError otherwise."""
        axis %= len(x.shape)
        if x.axis == axis:
            return x
        if not is_fixed(x.layout):
            raise ConfigError(f"channels are in axis {x.axis}, not {axis}")
        return Value(x.shape, axis, self.ties.new("kept", x.shape[axis], fixed=True))


Shape = tuple[int, ...]
LayerRule = Callable[[Trace, str, Any, Value, Shape], Value]


def keep(trace: Trace, name: str, layer: nn.Module, x: Value, shape: Shape) -> Value:
    """Activations, pads, pools, dropout, resampling: every channel stays what it is."""
    del trace, name, layer
    if len(shape) != len(x.shape) or shape[x.axis] != x.shape[x.axis]:
        raise ConfigError("it changes the channels")
    return Value(shape, x.axis, x.layout)


def convolution(trace: Trace, name: str, layer: Any, x: Value, shape: Shape) -> Value:
    """Dense, grouped (a unit of width is one whole group) or depthwise; transposed weights are (in,
    out, ...)."""
    x = trace.at_axis(x, 1)
    weight, groups = f"{name}.weight", layer.groups
    transposed = isinstance(layer, Transposed)
    if groups == 1:
        out = produced(trace, weight, 1 if transposed else 0, name, layer.out_channels)
        trace.tie(weight, 0 if transposed else 1, x.layout)
    else:
        units = trace.ties.divide(x.layout, layer.in_channels // groups)
        out = times(units, layer.out_channels // groups)
        trace.tie(weight, 0, times(units, layer.in_channels // groups) if transposed else out)
        trace.follow(name, "groups", units)
    if layer.bias is not None:
        trace.tie(f"{name}.bias", 0, out)
    trace.follow(name, "in_channels", x.layout)
    trace.follow(name, "out_channels", out)
    return Value(shape, 1, out)


def produced(trace: Trace, weight: str, dim: int, name: str, size: int) -> Layout:
    """The channels a layer makes: new ones, or the old ones when the layer is called again."""
    weight = trace.aliases.get(weight, weight)
    if (weight, dim) not in trace.dimensions:
        trace.dimensions[weight, dim] = trace.ties.new(name, size)
    return trace.dimensions[weight, dim]


def linear(trace: Trace, name: str, layer: nn.Linear, x: Value, shape: Shape) -> Value:
    """(N, ..., in) -> (N, ..., out)."""
    x = trace.at_axis(x, -1)
    out = produced(trace, f"{name}.weight", 0, name, layer.out_features)
    trace.tie(f"{name}.weight", 1, x.layout)
    if layer.bias is not None:
        trace.tie(f"{name}.bias", 0, out)
    trace.follow(name, "in_features", x.layout)
    trace.follow(name, "out_features", out)
    return Value(shape, x.axis, out)


def norm(trace: Trace, name: str, layer: nn.Module, x: Value, shape: Shape) -> Value:
    """BatchNorm and InstanceNorm: each channel alone."""
    x = trace.at_axis(x, 1)
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        if getattr(layer, tensor, None) is not None:
            trace.tie(f"{name}.{tensor}", 0, x.layout)
    trace.follow(name, "num_features", x.layout)
    return Value(shape, 1, x.layout)


def group_norm(trace: Trace, name: str, layer: nn.GroupNorm, x: Value, shape: Shape) -> Value:
    """One group takes any width; of several, whole groups are the unit of width."""
    x = trace.at_axis(x, 1)
    if layer.num_groups > 1:
        units = trace.ties.divide(x.layout, layer.num_channels // layer.num_groups)
        trace.follow(name, "num_groups", units)
    if layer.affine:
        trace.tie(f"{name}.weight", 0, x.layout)
        trace.tie(f"{name}.bias", 0, x.layout)
    trace.follow(name, "num_channels", x.layout)
    return Value(shape, 1, x.layout)


def layer_norm(trace: Trace, name: str, layer: nn.LayerNorm, x: Value, shape: Shape) -> Value:
    """Over the last axis alone, which holds the channels."""
    if len(layer.normalized_shape) > 1:
        raise ConfigError("it normalises several axes, whose sizes it states")
    x = trace.at_axis(x, -1)
    for tensor in ("weight", "bias"):
        if getattr(layer, tensor) is not None:
            trace.tie(f"{name}.{tensor}", 0, x.layout)
    trace.follow(name, "normalized_shape", x.layout)
    return Value(shape, x.axis, x.layout)


def prelu(trace: Trace, name: str, layer: nn.PReLU, x: Value, shape: Shape) -> Value:
    """One slope for all, or one for each channel."""
    if layer.num_parameters > 1:
        x = trace.at_axis(x, 1)
        trace.tie(f"{name}.weight", 0, x.layout)
        trace.follow(name, "num_parameters", x.layout)
    return Value(shape, x.axis, x.layout)


Transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d)
Convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *Transposed)
BatchNorms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
InstanceNorms = (nn.InstanceNorm1d, nn.InstanceNorm2d)
ACTIVATIONS = (
    *(
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.ELU,
        nn.SELU,
        nn.CELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Tanh,
    ),
    *(
        nn.Sigmoid,
        nn.LogSigmoid,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.Hardtanh,
        nn.Softplus,
        nn.Softsign,
    ),
)
SAME_PADS = (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReplicationPad1d, nn.ReplicationPad2d)
NO_OPS = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
RESAMPLING = (nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
POOLS = (
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
SHARES = (nn.Softmax, nn.Softmax2d, nn.LogSoftmax)
KEEPERS = (
    *(*ACTIVATIONS, *SAME_PADS, *NO_OPS, *RESAMPLING, *POOLS, *SHARES),
    *(nn.ZeroPad2d, nn.ConstantPad2d),
)
LAYERS: dict[Any, LayerRule] = {
    **dict.fromkeys(KEEPERS, keep),
    **dict.fromkeys(Convolutions, convolution),
    **dict.fromkeys((*BatchNorms, *InstanceNorms), norm),
    nn.Linear: linear,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
    nn.PReLU: prelu,
}
RESHAPING = (nn.PixelShuffle, nn.PixelUnshuffle, nn.Flatten, nn.Unflatten)
KNOWN_FORWARDS = {layer.forward for layer in (*LAYERS, *RESHAPING)}
