"""Two convolutions with nothing between them are one linear map: merged when that is cheaper, else equalised."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx, nn

from edgegan.export.rewrites.edits import (
    AnyConvolution,
    Convolution,
    is_plain,
    is_pointwise,
    layer_of,
    make_convolution,
    only_user,
    remove_node,
    replace_layer,
    shape_of,
)


def linear_pair(
    graph: fx.GraphModule, node: fx.Node
) -> tuple[AnyConvolution, AnyConvolution] | None:
    """Two dense convolutions with nothing between them, the first at `node`, or None."""
    first, after = layer_of(graph, node), only_user(node)
    second = layer_of(graph, after)
    if not isinstance(first, Convolution) or not isinstance(second, Convolution):
        return None
    return (first, second) if first.groups == second.groups == 1 else None


def merge_linear_pair(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Two convolutions become one where that is exact at the border too and takes fewer MACs.

    Exact: the second pads nothing, or the first is a 1x1 without bias, of which a zero border is a zero border.
    """
    pair, after = linear_pair(graph, node), only_user(node)
    if pair is None or after is None or not is_plain(pair[0]) or not is_plain(pair[1]):
        return False
    first, second = pair
    if not isinstance(second, nn.Conv2d):
        return False
    zero_stays_zero = is_pointwise(first) and first.bias is None
    if second.padding != (0, 0) and not zero_stays_zero:
        return False
    if isinstance(first, nn.ConvTranspose2d) and second.stride != (1, 1):
        return False
    merged = merge(first, second)
    before_macs = macs(graph, node) + macs(graph, after)
    sides = shape_of(node if isinstance(first, nn.ConvTranspose2d) else after)
    if merged.weight.numel() * pixels(sides, merged) >= before_macs:
        return False
    replace_layer(graph, node, merged)
    remove_node(after)
    return True


def macs(graph: fx.GraphModule, node: fx.Node) -> int:
    """True multiply-adds of a dense convolution at its propagated shape."""
    conv = layer_of(graph, node)
    assert isinstance(conv, Convolution)
    return conv.weight.numel() * pixels(shape_of(node), conv)


def pixels(output: torch.Size, conv: AnyConvolution) -> int:
    """Places a kernel is applied at: outputs, or inputs of a transposed convolution (outputs over its stride)."""
    height, width = output[2:]
    if isinstance(conv, nn.ConvTranspose2d):
        return -(-height // conv.stride[0]) * -(-width // conv.stride[1])
    return height * width


def merge(first: AnyConvolution, second: nn.Conv2d) -> AnyConvolution:
    """The convolution that equals `second` after `first`, both dense and undilated."""
    inner = first.weight.detach().double()
    outer = second.weight.detach().double()
    bias = torch.zeros(second.out_channels, dtype=torch.float64)
    if first.bias is not None:
        bias = bias + outer.sum((2, 3)) @ first.bias.detach().double()
    if second.bias is not None:
        bias = bias + second.bias.detach().double()
    kept = bias if first.bias is not None or second.bias is not None else None
    assert not isinstance(first.padding, str) and not isinstance(second.padding, str)
    if isinstance(first, nn.ConvTranspose2d):
        weight = F.conv_transpose2d(inner, outer.transpose(0, 1).flip(2, 3))
        height, width = second.kernel_size
        merged = nn.ConvTranspose2d(
            weight.shape[0],
            weight.shape[1],
            (weight.shape[2], weight.shape[3]),
            stride=first.stride,  # type: ignore[arg-type]
            padding=(first.padding[0] + height - 1, first.padding[1] + width - 1),
            output_padding=first.output_padding,  # type: ignore[arg-type]
            bias=kept is not None,
        )
        merged.weight = nn.Parameter(weight.float())
        if kept is not None:
            merged.bias = nn.Parameter(kept.float())
        return merged
    weight = F.conv_transpose2d(outer, inner, stride=first.stride)
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    padding = (first.padding[0] + second.padding[0], first.padding[1] + second.padding[1])
    return make_convolution(weight, kept, stride=stride, padding=padding)


def equalise_linear_pair(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Scales each channel between two linear convolutions to a like range, so that one int8 scale fits all
    (cross-layer equalisation, Nagel et al. 2019). Scales are powers of two, so the float result does not change."""
    pair = linear_pair(graph, node)
    if pair is None or "channel_range" not in node.meta:
        return False
    first, second = pair
    size: torch.Tensor = node.meta["channel_range"]
    if not float(size.median()) > 0:
        return False
    scale = torch.exp2(torch.round(torch.log2(size.clamp_min(1e-3 * size.max()) / size.median())))
    out_shape = [1, -1, 1, 1] if isinstance(first, nn.ConvTranspose2d) else [-1, 1, 1, 1]
    in_shape = [-1, 1, 1, 1] if isinstance(second, nn.ConvTranspose2d) else [1, -1, 1, 1]
    first.weight = nn.Parameter(first.weight.detach() / scale.reshape(out_shape))
    if first.bias is not None:
        first.bias = nn.Parameter(first.bias.detach() / scale)
    second.weight = nn.Parameter(second.weight.detach() * scale.reshape(in_shape))
    return True


class StatisticsRecorder(fx.Interpreter):
    """Notes at every four-dimensional node with real numbers, over all runs: the largest absolute value of every
    channel, its mean, and how many deviations the mean is from zero in the worst channel."""

    def run_node(self, n: fx.Node) -> object:
        """One node's result, noted."""
        result = super().run_node(n)
        numbers = isinstance(result, torch.Tensor) and result.is_floating_point()
        if isinstance(result, torch.Tensor) and numbers and result.dim() == 4:
            largest = result.detach().abs().amax((0, 2, 3))
            mean = result.detach().mean((0, 2, 3))
            ratio = float(
                (mean.abs() / result.detach().std((0, 2, 3), False).clamp_min(1e-6)).max()
            )
            if "channel_range" in n.meta:
                largest = torch.maximum(n.meta["channel_range"], largest)
                runs = n.meta["runs"]
                mean = (n.meta["channel_mean"] * runs + mean) / (runs + 1)
                ratio = max(ratio, n.meta["mean_ratio"])
            n.meta.update(channel_range=largest, channel_mean=mean, mean_ratio=ratio)
            n.meta["runs"] = n.meta.get("runs", 0) + 1
        return result
