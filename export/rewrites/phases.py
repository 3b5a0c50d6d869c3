"""Convolutions that make a larger picture, as one convolution over the small one and depth_to_space.

Output o of a doubling (any scale s) with a kernel of K taps reads input m through the tap that its place within the
scale picks. Counting o + crop = s i + a, every phase a is a convolution over the same few inputs i + low .. i + high;
`crop` is chosen so that these are fewest, which for the 4-tap kernel of the U-Net leaves none of them zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    is_pointwise,
    layer_of,
    make_convolution,
    only_user,
    remove_node,
    replace_layer,
    shape_of,
    source_of,
)


@dataclass(frozen=True)
class Axis:
    """Along one axis: `crop` outputs too many in front; output phase a reads inputs low .. high, `taps[a][u]` lists the
    kernel taps that input low + u is weighted with."""

    crop: int
    low: int
    taps: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def reach(self) -> int:
        """How many inputs a phase reads."""
        return len(self.taps[0])


def make_axis(scale: int, crop: int, inputs: list[list[int]]) -> Axis:
    """From `inputs[a][k]`, the input (relative to i) that phase a reads through tap k, or NONE."""
    found = [value for phase in inputs for value in phase if value is not NONE]
    low, high = min(found), max(found)
    taps = tuple(
        tuple(
            tuple(k for k, value in enumerate(phase) if value is not NONE and value == low + u)
            for u in range(high - low + 1)
        )
        for phase in inputs
    )
    assert len(taps) == scale
    return Axis(crop, low, taps)


NONE: int = None  # type: ignore[assignment]


def transposed_axis(kernel: int, stride: int, padding: int) -> Axis:
    """A transposed convolution: output o = stride m - padding + k."""
    choices = []
    for crop in range(stride):
        inputs = []
        for a in range(stride):
            rests = [a - crop + padding - k for k in range(kernel)]
            inputs.append([rest // stride if rest % stride == 0 else NONE for rest in rests])
        choices.append(make_axis(stride, crop, inputs))
    return min(choices, key=lambda axis: (axis.reach, axis.crop))


def enlarged_axis(kernel: int, scale: int, padding: int) -> Axis:
    """Nearest enlargement by `scale`, then a convolution: output o reads enlarged place o - padding + k."""
    choices = [
        make_axis(
            scale,
            crop,
            [[(a - crop - padding + k) // scale for k in range(kernel)] for a in range(scale)],
        )
        for crop in range(scale)
    ]
    return min(choices, key=lambda axis: (axis.reach, axis.crop))


def phase_kernel(weight: torch.Tensor, rows: Axis, columns: Axis) -> torch.Tensor:
    """(out, in, K, L) float64 -> (phases * out, in, reach, reach): taps that meet in one input are added."""
    outputs, inputs = weight.shape[:2]
    kernel = weight.new_zeros(
        len(rows.taps), len(columns.taps), outputs, inputs, rows.reach, columns.reach
    )
    for a, row_taps in enumerate(rows.taps):
        for b, column_taps in enumerate(columns.taps):
            for u, ks in enumerate(row_taps):
                for v, ls in enumerate(column_taps):
                    for k in ks:
                        for m in ls:
                            kernel[a, b, :, :, u, v] += weight[:, :, k, m]
    return kernel.flatten(0, 2)


def depth_to_space(
    y: torch.Tensor,
    block: tuple[int, int],
    channels: int,
    crop: tuple[int, int] = (0, 0),
    size: tuple[int, int] | None = None,
) -> torch.Tensor:
    """(N, rows columns C, H, W), channels ordered (row, column, C) -> (N, C, rows H, columns W), or the part of `size`
    that begins at `crop`. Everything happens in NHWC, so that no TRANSPOSE is left around it."""
    y = y.permute(0, 2, 3, 1)
    n, h, w, _ = y.shape
    y = y.reshape(n, h, w, block[0], block[1], channels).permute(0, 1, 3, 2, 4, 5)
    y = y.reshape(n, block[0] * h, block[1] * w, channels)
    if size is not None and size != (y.shape[1], y.shape[2]):
        y = y[:, crop[0] : crop[0] + size[0], crop[1] : crop[1] + size[1]]
    return y.permute(0, 3, 1, 2)


class PhaseConvolution(nn.Module):
    """One convolution whose outputs are the phases of a larger picture.

    `reduction` (h, w) is what the picture loses beside scale times input; `replicate` says what lies around the input:
    its border again, or zeros.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        axes: tuple[Axis, Axis],
        reduction: tuple[int, int],
        *,
        replicate: bool = False,
    ) -> None:
        super().__init__()
        rows, columns = self.axes = axes
        self.scale = (len(rows.taps), len(columns.taps))
        self.channels, self.reduction, self.replicate = weight.shape[0], reduction, replicate
        self.activation: nn.Module = nn.Identity()
        phases = self.scale[0] * self.scale[1]
        kernel = phase_kernel(weight.detach().double(), rows, columns)
        self.conv = make_convolution(kernel, None if bias is None else bias.repeat(phases))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, scale H - reduction, scale W - reduction)."""
        sizes, pads = [], []
        for length, axis, scale, lost in zip(
            x.shape[2:], self.axes, self.scale, self.reduction, strict=True
        ):
            size = scale * length - lost
            count = -(-(size + axis.crop) // scale)
            pads.append((-axis.low, count + axis.reach - 1 + axis.low - length))
            sizes.append(size)
        y = self.activation(self.conv(self.pad(x, *pads)))
        crop = (self.axes[0].crop, self.axes[1].crop)
        return depth_to_space(y, self.scale, self.channels, crop, (sizes[0], sizes[1]))

    def pad(self, x: torch.Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> torch.Tensor:
        """Zeros or the border again on each side; negative numbers cut."""
        for dimension, (front, back) in ((2, rows), (3, columns)):
            length = x.shape[dimension]
            if front < 0 or back < 0:
                cut = max(0, -front)
                x = x.narrow(dimension, cut, length - cut - max(0, -back))
        (top, bottom), (left, right) = (
            (max(0, front), max(0, back)) for front, back in (rows, columns)
        )
        if not self.replicate:
            outside = (left, right, top, bottom)
            return F.pad(x, outside) if any(outside) else x
        x = torch.cat([x[:, :, :1]] * top + [x] + [x[:, :, -1:]] * bottom, 2)
        return torch.cat([x[..., :1]] * left + [x] + [x[..., -1:]] * right, 3)


def dilate(weight: torch.Tensor, dilation: tuple[int, int]) -> torch.Tensor:
    """(.., .., h, w) with zeros between its taps."""
    height, width = weight.shape[2:]
    spread = weight.new_zeros(
        *weight.shape[:2], dilation[0] * (height - 1) + 1, dilation[1] * (width - 1) + 1
    )
    spread[:, :, :: dilation[0], :: dilation[1]] = weight
    return spread


def split_transposed(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A transposed convolution -> a convolution and depth_to_space; of stride 1, a plain convolution."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.ConvTranspose2d) or layer.groups != 1:
        return False
    assert not isinstance(layer.padding, str)
    weight = dilate(layer.weight.detach(), tuple(layer.dilation))  # type: ignore[arg-type]
    kernel = weight.shape[2:]
    if layer.stride == (1, 1) and layer.output_padding == (0, 0):
        padding = (kernel[0] - 1 - layer.padding[0], kernel[1] - 1 - layer.padding[1])
        if min(padding) >= 0:
            flipped = weight.transpose(0, 1).flip(2, 3)
            replace_layer(graph, node, make_convolution(flipped, layer.bias, padding=padding))
            return True
    axes = tuple(
        transposed_axis(kernel[axis], layer.stride[axis], layer.padding[axis]) for axis in (0, 1)
    )
    reduction = tuple(
        layer.stride[axis] + 2 * layer.padding[axis] - kernel[axis] - layer.output_padding[axis]
        for axis in (0, 1)
    )
    replace_layer(
        graph,
        node,
        PhaseConvolution(weight.transpose(0, 1), layer.bias, axes, reduction),  # type: ignore[arg-type]
    )
    return True


class ZeroInsertion(nn.Module):
    """A grouped transposed convolution as zeros between the pixels (depth_to_space of zero channels) and a grouped
    convolution, for runtimes whose transposed convolution knows no groups."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        assert not isinstance(layer.padding, str)
        weight = dilate(layer.weight.detach(), tuple(layer.dilation)).flip(2, 3)  # type: ignore[arg-type]
        inputs, outputs, height, width = weight.shape
        groups = layer.groups
        weight = weight.reshape(groups, inputs // groups, outputs, height, width).transpose(1, 2)
        self.scale = (layer.stride[0], layer.stride[1])
        self.conv = nn.Conv2d(
            inputs, groups * outputs, (height, width), groups=groups, bias=layer.bias is not None
        )
        self.conv.weight = nn.Parameter(weight.reshape(groups * outputs, -1, height, width).clone())
        self.conv.bias = layer.bias
        self.pads = [
            (size - 1 - pad, size - 1 - pad + extra + 1 - stride)
            for size, pad, extra, stride in zip(
                (height, width), layer.padding, layer.output_padding, layer.stride, strict=True
            )
        ]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> what the transposed convolution gives."""
        channels = x.shape[1]
        phases = self.scale[0] * self.scale[1]
        x = F.pad(x, (0, 0, 0, 0, 0, channels * (phases - 1)))
        x = depth_to_space(x, self.scale, channels)
        for dimension, (front, back) in ((2, self.pads[0]), (3, self.pads[1])):
            cut = max(0, -front)
            x = x.narrow(dimension, cut, x.shape[dimension] - cut - max(0, -back))
        (top, bottom), (left, right) = ((max(0, a), max(0, b)) for a, b in self.pads)
        return self.conv(F.pad(x, (left, right, top, bottom)))


def insert_zeros(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A grouped transposed convolution -> zeros between the pixels and a grouped convolution."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.ConvTranspose2d) or layer.groups == 1:
        return False
    replace_layer(graph, node, ZeroInsertion(layer))
    return True


def nearest_scale(graph: fx.GraphModule, node: fx.Node) -> tuple[int, int] | None:
    """The whole numbers a nearest resizing enlarges by, one of them above one, or None."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.Upsample) or layer.mode not in ("nearest", "nearest-exact"):
        return None
    before, after = shape_of(source_of(node)), shape_of(node)
    if after[2] % before[2] or after[3] % before[3]:
        return None
    scale = after[2] // before[2], after[3] // before[3]
    return scale if max(scale) > 1 else None


def enlarge_after_pointwise(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Nearest enlargement before a 1x1 convolution moves behind it, where it costs a fraction."""
    after = only_user(node)
    if nearest_scale(graph, node) is None or after is None:
        return False
    conv = layer_of(graph, after)
    if not is_pointwise(conv):
        return False
    conv_name, own_name = after.target, node.target
    node.target, after.target = conv_name, own_name
    small = shape_of(source_of(node))
    node.meta["tensor_meta"] = node.meta["tensor_meta"]._replace(
        shape=torch.Size((small[0], shape_of(after)[1], *small[2:]))
    )
    return True


def merge_enlargement(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Nearest enlargement (and one pixel of reflected border) before a convolution -> one convolution over the small
    picture and depth_to_space: 2x2 taps for each of four phases where 3x3 went over four times the pixels."""
    scale, after = nearest_scale(graph, node), only_user(node)
    if scale is None or after is None:
        return False
    pad = layer_of(graph, after)
    border = (0, 0, 0, 0)
    if isinstance(pad, nn.ReflectionPad2d):
        border = pad.padding
        if max(border[:2]) > scale[1] - 1 or max(border[2:]) > scale[0] - 1:
            return False
    elif isinstance(pad, nn.ReplicationPad2d):
        border = pad.padding
    replicate = border != (0, 0, 0, 0)
    last = only_user(after) if replicate else after
    conv = layer_of(graph, last)
    if last is None or not isinstance(conv, nn.Conv2d) or conv.stride != (1, 1) or conv.groups != 1:
        return False
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return False
    left, right, top, bottom = border
    if left != right or top != bottom or (replicate and conv.padding != (0, 0)):
        return False
    weight = dilate(conv.weight.detach(), tuple(conv.dilation))  # type: ignore[arg-type]
    kernel = weight.shape[2:]
    if max(kernel) == 1:
        return False
    padding = (top, left) if replicate else (conv.padding[0], conv.padding[1])
    axes = tuple(enlarged_axis(kernel[i], scale[i], padding[i]) for i in (0, 1))
    if any(axis.reach >= size for axis, size in zip(axes, kernel, strict=True) if size > 1):
        return False
    reduction = tuple(kernel[i] - 1 - 2 * padding[i] for i in (0, 1))
    merged = PhaseConvolution(weight, conv.bias, axes, reduction, replicate=replicate)  # type: ignore[arg-type]
    replace_layer(graph, last, merged)
    remove_node(node)
    if replicate:
        remove_node(after)
    return True
