"""Exact graph rewrites before conversion: a list of passes over the traced generator, each recorded with its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from edgegan.export.layers import (
    ChannelLastInstanceNorm,
    ConcatReflectionPad,
    DepthToSpaceDoubling,
    StridedHead,
)
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils.fusion import fuse_conv_bn_weights

from edgegan.errors import ConfigError

FEW_OUTPUTS = 4
Convolution = (nn.Conv2d, nn.ConvTranspose2d)
AnyConvolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Rewrite:
    """One change made to the graph; `layer` is the module's dotted name."""

    rewrite: str
    layer: str

    def as_dict(self) -> dict[str, str]:
        """For export.json."""
        return asdict(self)


def rewrite(
    module: nn.Module, samples: torch.Tensor, target: str
) -> tuple[fx.GraphModule, list[Rewrite]]:
    """A rewritten copy of `module` for `target` ("tflite" or "onnx") at the size of `samples` (N, C, H, W).

    The samples are typical inputs in [-1, 1]: channel ranges are read from them.
    """
    example = samples[:1]
    module = copy.deepcopy(module).eval()
    try:
        graph = fx.symbolic_trace(module)
    except (TypeError, ValueError, fx.proxy.TraceError) as error:
        raise ConfigError(
            f"{type(module).__name__} cannot be traced for export ({error}); "
            "remove control flow that depends on tensors from forward"
        ) from error
    records: list[Rewrite] = []
    if any(linear_pair(graph, node) for node in graph.graph.nodes):
        for sample in samples:
            RangeRecorder(graph).run(sample[None])
    for name, change in PASSES[target].items():
        ShapeProp(graph).propagate(example)
        for node in list(graph.graph.nodes):
            if node.op == "call_module" and change(graph, node):
                records.append(Rewrite(name, str(node.target)))
        graph.graph.eliminate_dead_code()
        graph.delete_all_unused_submodules()
        graph.recompile()
    return graph, records


def layer_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module a node calls, or None."""
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def only_user(node: fx.Node) -> fx.Node | None:
    """The one node that uses this one's output, or None."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def replace_layer(graph: fx.GraphModule, node: fx.Node, layer: nn.Module) -> None:
    """Puts another module at a node."""
    parent, _, name = str(node.target).rpartition(".")
    setattr(graph.get_submodule(parent), name, layer)


def remove_node(node: fx.Node) -> None:
    """Takes a one-input node out of the graph."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)


def drop_no_op(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Dropout and Identity do nothing at inference."""
    if isinstance(layer_of(graph, node), (nn.Identity, nn.Dropout, nn.Dropout2d)):
        remove_node(node)
        return True
    return False


def fuse_batch_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A BatchNorm that alone follows a convolution becomes part of its weights."""
    norm = layer_of(graph, node)
    before = node.args[0]
    if (
        not isinstance(norm, nn.BatchNorm2d)
        or not isinstance(before, fx.Node)
        or only_user(before) is not node
    ):
        return False
    conv = layer_of(graph, before)
    if not isinstance(conv, Convolution) or norm.running_mean is None or norm.running_var is None:
        return False
    if isinstance(conv, nn.ConvTranspose2d) and conv.groups != 1:
        return False
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
    remove_node(node)
    return True


def fold_affine_into_pointwise(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Scale and shift of an InstanceNorm that only an unpadded 1x1 convolution reads move into its weights and bias."""
    norm, after = layer_of(graph, node), only_user(node)
    conv = layer_of(graph, after) if after is not None else None
    if not isinstance(norm, nn.InstanceNorm2d) or norm.weight is None or norm.bias is None:
        return False
    if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.groups != 1:
        return False
    if conv.padding != (0, 0):
        return False
    weight = conv.weight.detach()
    shift = weight.flatten(1) @ norm.bias.detach()
    conv.bias = nn.Parameter(shift if conv.bias is None else conv.bias.detach() + shift)
    conv.weight = nn.Parameter(weight * norm.weight.detach().reshape(1, -1, 1, 1))
    plain = nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=False)
    replace_layer(graph, node, plain.eval())
    return True


def drop_bias_before_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """InstanceNorm subtracts each channel's mean, and with it the bias of the convolution before."""
    conv, after = layer_of(graph, node), only_user(node)
    if not isinstance(conv, Convolution) or conv.bias is None or after is None:
        return False
    if not isinstance(layer_of(graph, after), nn.InstanceNorm2d):
        return False
    conv.bias = None
    return True


def linear_pair(
    graph: fx.GraphModule, node: fx.Node
) -> tuple[AnyConvolution, AnyConvolution] | None:
    """Two dense convolutions with nothing between them, the first at `node`, or None."""
    first, after = layer_of(graph, node), only_user(node)
    second = layer_of(graph, after) if after is not None else None
    if not isinstance(first, Convolution) or not isinstance(second, Convolution):
        return None
    return (first, second) if first.groups == second.groups == 1 else None


def equalise_linear_pair(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Scales each channel between two linear convolutions to a like range, so that one int8 scale fits all
    (cross-layer equalisation, Nagel et al. 2019). Scales are powers of two, so the float result does not change."""
    pair = linear_pair(graph, node)
    if pair is None:
        return False
    first, second = pair
    size: torch.Tensor = node.meta["channel_range"]
    scale = torch.exp2(torch.round(torch.log2(size.clamp_min(1e-3 * size.max()) / size.median())))
    out_shape = [1, -1, 1, 1] if isinstance(first, nn.ConvTranspose2d) else [-1, 1, 1, 1]
    in_shape = [-1, 1, 1, 1] if isinstance(second, nn.ConvTranspose2d) else [1, -1, 1, 1]
    first.weight = nn.Parameter(first.weight.detach() / scale.reshape(out_shape))
    if first.bias is not None:
        first.bias = nn.Parameter(first.bias.detach() / scale)
    second.weight = nn.Parameter(second.weight.detach() * scale.reshape(in_shape))
    return True


class RangeRecorder(fx.Interpreter):
    """Notes the largest absolute value of every channel at every four-dimensional node, over all runs."""

    def run_node(self, n: fx.Node) -> object:
        """One node's result, noted."""
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and result.dim() == 4:
            found = result.detach().abs().amax((0, 2, 3))
            n.meta["channel_range"] = (
                torch.maximum(n.meta["channel_range"], found)
                if "channel_range" in n.meta
                else found
            )
        return result


def concat_reflection_pad(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Reflection pad -> slices and concatenation."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.ReflectionPad2d):
        return False
    replace_layer(graph, node, ConcatReflectionPad(layer))
    return True


def channel_last_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """InstanceNorm -> the same in NHWC, scale folded."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.InstanceNorm2d) or layer.track_running_stats:
        return False
    replace_layer(graph, node, ChannelLastInstanceNorm(layer))
    return True


def scale_only_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A plain InstanceNorm, a 1x1 convolution, another InstanceNorm: the second subtracts what is constant over the
    picture, so the first need not subtract its mean."""
    layer, after = layer_of(graph, node), only_user(node)
    conv = layer_of(graph, after) if after is not None else None
    last = only_user(after) if after is not None else None
    if (
        not isinstance(layer, nn.InstanceNorm2d)
        or layer.track_running_stats
        or layer.bias is not None
    ):
        return False
    if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.padding != (0, 0):
        return False
    if last is None or not isinstance(layer_of(graph, last), nn.InstanceNorm2d):
        return False
    replace_layer(graph, node, ChannelLastInstanceNorm(layer, centre=False))
    return True


def depth_to_space_doubling(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Transposed 3x3 stride 2 -> 2x2 convolution and depth_to_space."""
    layer = layer_of(graph, node)
    if not isinstance(layer, nn.ConvTranspose2d):
        return False
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
    if shape != ((3, 3), (2, 2), (1, 1), (1, 1), (1, 1)) or layer.groups != 1:
        return False
    replace_layer(graph, node, DepthToSpaceDoubling(layer))
    return True


def strided_head(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Unpadded k x k convolution to at most four channels -> stride 2 and depth_to_space."""
    layer = layer_of(graph, node)
    if (
        not isinstance(layer, nn.Conv2d)
        or layer.out_channels > FEW_OUTPUTS
        or min(layer.kernel_size) < 3
    ):
        return False
    if (
        layer.stride != (1, 1)
        or layer.padding != (0, 0)
        or layer.dilation != (1, 1)
        or layer.groups != 1
    ):
        return False
    height, width = node.meta["tensor_meta"].shape[2:]
    if height % 2 or width % 2:
        return False
    replace_layer(graph, node, StridedHead(layer))
    return True


Pass = Callable[[fx.GraphModule, fx.Node], bool]
COMMON: dict[str, Pass] = {
    "drop_no_op": drop_no_op,
    "fuse_batch_norm": fuse_batch_norm,
    "fold_affine_into_pointwise": fold_affine_into_pointwise,
    "drop_bias_before_norm": drop_bias_before_norm,
    "equalise_linear_pair": equalise_linear_pair,
}
PASSES: dict[str, dict[str, Pass]] = {
    "onnx": COMMON,
    "tflite": {
        **COMMON,
        "concat_reflection_pad": concat_reflection_pad,
        "depth_to_space_doubling": depth_to_space_doubling,
        "strided_head": strided_head,
        "scale_only_norm": scale_only_norm,
        "channel_last_norm": channel_last_norm,
    },
}
