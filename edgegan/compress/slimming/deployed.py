"""The student as a runtime computes it in int8: quantizers at the places where the exporter's artefacts have them.

The simulation is the student's own trace with some layers replaced; it shares the student's parameters, so that
training it trains the student. Schemes: "litert_dynamic" (InstanceNorm nets: weights of dense convolutions int8, what
they read quantised picture by picture), "litert_static" (BatchNorm nets: every activation int8), "onnxruntime" (plain
convolutions of the trunk static, the rest float: the exporter's policy `mixed`), "paper" (GAN Slimming as released,
which no runtime computes).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from edgegan.channels.program import evaluating
from edgegan.channels.tapped import tap_node
from edgegan.channels.tracing import for_any_batch, symbolic_trace
from edgegan.compress.slimming.int8_layers import (
    Convolution,
    PaperActivation,
    PlainNorm,
    QuantizedConvolution,
    Scheme,
    TanhOutput,
    unfold_batch_norm,
)
from edgegan.compress.slimming.quantizers import LearnedRange
from edgegan.deployment.enlargement import is_doubling
from edgegan.deployment.picture_norms import litert_policy
from edgegan.deployment.saturation import TANH_LIMIT
from edgegan.deployment.trunk import trunk_size
from edgegan.package import LearnedEnds

PADDINGS = (nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d, nn.Identity)
PASSING = (
    *(*PADDINGS, nn.Upsample, nn.UpsamplingNearest2d),
    *(nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.PixelShuffle, nn.Unflatten),
)


def scheme_of(module: nn.Module) -> Scheme:
    """What `edgegan export` makes of this student for LiteRT: dynamic where a norm follows each picture."""
    return "litert_dynamic" if litert_policy(module) == "dynamic" else "litert_static"


def trace_with_taps(student: nn.Module, taps: list[str], example: torch.Tensor) -> fx.GraphModule:
    """The student's trace, sharing its layers, which returns the image and the outputs of the modules `taps`;
    it takes any number of images."""
    graph = for_any_batch(symbolic_trace(student, example[:1]), example[:1])
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    image = output.args[0]
    output.args = ((image, *(tap_node(graph.graph.nodes, tap) for tap in taps)),)
    graph.recompile()
    return graph


def simulate(
    student: nn.Module,
    example: torch.Tensor,
    scheme: Scheme,
    taps: list[str],
    *,
    learned: bool = True,
) -> fx.GraphModule:
    """The student in int8 by this scheme, sharing its parameters; it returns the image and the outputs at `taps`.

    Static schemes have no ranges yet: see `calibrate`. `learned`: weight steps are parameters of the simulation;
    otherwise they follow the largest weights, as a converter's do.
    """
    graph = trace_with_taps(student, taps, example)
    with evaluating(student):
        ShapeProp(graph).propagate(example[:1])
    nodes = list(graph.graph.nodes)
    trunk = trunk_width(graph)
    for node in nodes:
        layer = layer_of(graph, node)
        if not isinstance(layer, Convolution):
            continue
        chosen = is_chosen(layer, node, scheme, trunk)
        norm = batch_norm_after(graph, node) if scheme in ("litert_static", "onnxruntime") else None
        if not chosen:
            continue
        before = foldable_norm(graph, node, layer) if scheme != "paper" else None
        cancelled = scheme != "paper" and instance_norm_after(graph, node)
        if before is not None:
            simplify_norm(graph, node, before, centre=scheme == "onnxruntime" or not cancelled)
        name = f"simulated_{node.name}"
        quantized = QuantizedConvolution(
            layer, scheme, norm, before, cancelled=cancelled, learned=learned
        )
        graph.add_submodule(name, quantized)
        node.target = name
        if norm is not None:
            skip(graph, only_user(node))
        if scheme in ("onnxruntime", "paper"):
            quantize_around(graph, node, scheme)
    if scheme == "litert_static":
        quantize_everything(graph)
    graph.recompile()
    return graph


def trunk_width(graph: fx.GraphModule) -> int:
    """Pixels in a row at the smallest resolution at which a quarter of the plain convolutions' multiply-adds is done:
    the trunk of the exporter's policy `mixed`."""
    macs: dict[int, int] = {}
    for node in graph.graph.nodes:
        layer = layer_of(graph, node)
        if isinstance(layer, nn.Conv2d):
            height, width = node.meta["tensor_meta"].shape[-2:]
            macs[width] = macs.get(width, 0) + layer.weight.numel() * height * width
    return trunk_size(macs)


def is_chosen(layer: Convolution, node: fx.Node, scheme: Scheme, trunk: int) -> bool:
    """Whether the artefact computes this convolution in int8."""
    if scheme == "litert_dynamic":
        dense = isinstance(layer, nn.Conv2d) and layer.groups == 1
        return dense or is_doubling(layer)
    if scheme == "onnxruntime":
        return isinstance(layer, nn.Conv2d) and width_of(node) <= trunk
    return True


def layer_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module a node calls, or None."""
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def width_of(node: fx.Node) -> int:
    """Pixels in a row of what a node makes."""
    return int(node.meta["tensor_meta"].shape[-1])


def only_user(node: fx.Node) -> fx.Node | None:
    """The one node that reads this one, or None; that it is also tapped does not count."""
    users = [user for user in node.users if user.op != "output"] or list(node.users)
    return users[0] if len(users) == 1 else None


def batch_norm_after(graph: fx.GraphModule, node: fx.Node) -> nn.BatchNorm2d | None:
    """The BatchNorm that alone reads a convolution, or None."""
    after = only_user(node)
    layer = layer_of(graph, after) if after is not None else None
    return layer if isinstance(layer, nn.BatchNorm2d) else None


def foldable_norm(
    graph: fx.GraphModule, node: fx.Node, layer: Convolution
) -> nn.InstanceNorm2d | None:
    """The InstanceNorm in front of an unpadded 1x1 convolution that alone reads it, or None."""
    pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    if not pointwise or layer.groups != 1 or layer.padding != (0, 0):
        return None
    source = node.args[0]
    norm = layer_of(graph, source) if isinstance(source, fx.Node) else None
    if not isinstance(norm, nn.InstanceNorm2d) or norm.track_running_stats:
        return None
    assert isinstance(source, fx.Node)
    return norm if only_user(source) is node else None


def instance_norm_after(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an InstanceNorm alone reads a convolution."""
    after = only_user(node)
    layer = layer_of(graph, after) if after is not None else None
    return isinstance(layer, nn.InstanceNorm2d) and not layer.track_running_stats


def simplify_norm(
    graph: fx.GraphModule, node: fx.Node, norm: nn.InstanceNorm2d, *, centre: bool
) -> None:
    """Puts a PlainNorm before the convolution."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    earlier = source.args[0]
    before = layer_of(graph, earlier) if isinstance(earlier, fx.Node) else None
    name = f"simulated_{source.name}"
    graph.add_submodule(name, PlainNorm(norm, before, centre=centre))
    source.target = name


def skip(graph: fx.GraphModule, node: fx.Node | None) -> None:
    """Takes a one-input node out."""
    assert node is not None
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    graph.graph.erase_node(node)


def insert_after(graph: fx.GraphModule, node: fx.Node, layer: nn.Module, name: str) -> None:
    """Lets everything that read a node read `layer` of it."""
    graph.add_submodule(name, layer)
    with graph.graph.inserting_after(node):
        fresh = graph.graph.call_module(name, (node,))
    node.replace_all_uses_with(fresh, lambda user: user is not fresh)


def is_picture(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is the network's input, padded or not: the released code leaves the picture alone."""
    while isinstance(layer_of(graph, node), PADDINGS) or node.target is F.pad:
        (node,) = node.all_input_nodes
    return node.op == "placeholder"


def quantize_around(graph: fx.GraphModule, node: fx.Node, scheme: Scheme) -> None:
    """Quantizers in front of a convolution and, in ONNX Runtime, behind it."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if scheme == "paper":
        if not is_picture(graph, source):
            name = f"reads_{node.name}"
            graph.add_submodule(name, PaperActivation())
            with graph.graph.inserting_before(node):
                node.args = (graph.graph.call_module(name, (source,)),)
        return
    shared = f"range_{source.name}"
    if not str(source.target).startswith("range_"):
        insert_after(graph, source, LearnedRange(), shared)
    insert_after(graph, node, LearnedRange(), f"range_{node.name}")


def quantize_everything(graph: fx.GraphModule) -> None:
    """A learned range behind every operation that makes new values; an activation that alone reads a convolution is
    part of it."""
    for node in list(graph.graph.nodes):
        layer = layer_of(graph, node)
        if node.op == "output" or isinstance(layer, (LearnedRange, *PASSING)):
            continue
        if "tensor_meta" not in node.meta and not isinstance(layer, QuantizedConvolution):
            continue
        after = only_user(node)
        if is_tanh(graph, node):
            insert_after(graph, node, TanhOutput(), f"saturated_{node.name}")
            continue
        fused = after is not None and isinstance(layer_of(graph, after), nn.ReLU)
        if fused or (after is not None and after.op == "output"):
            continue
        saturates = after is not None and is_tanh(graph, after)
        limit = TANH_LIMIT if saturates else float("inf")
        insert_after(graph, node, LearnedRange(limit), f"range_{node.name}")


def is_tanh(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a tanh, however it is written."""
    named = node.target in (torch.tanh, "tanh")
    return named or isinstance(layer_of(graph, node), nn.Tanh)


def ranges_of(simulated: nn.Module) -> Iterable[LearnedRange]:
    """Every learned range of a simulation, in order."""
    return (layer for layer in simulated.modules() if isinstance(layer, LearnedRange))


def calibrate(simulated: nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Sets ranges to the smallest and largest values that these inputs (1, ...) make, as converters do."""
    ranges = list(ranges_of(simulated))
    for each in ranges:
        each.watch(True)
    with evaluating(simulated):
        for image in images:
            simulated(image)
    for each in ranges:
        each.watch(False)


def learned_ends(simulated: nn.Module, golden: torch.Tensor) -> list[LearnedEnds]:
    """Every learned range, with what its activation reaches in float on the first golden input (1, ...)."""
    found: list[LearnedEnds] = []

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> torch.Tensor:
        assert isinstance(layer, LearnedRange)
        (x,) = inputs
        low, high = (float(end) for end in layer.ends())
        ends = {"golden_low": float(x.amin()), "golden_high": float(x.amax())}
        found.append(LearnedEnds(low=low, high=high, **ends))
        return x

    hooks = [each.register_forward_hook(note) for each in ranges_of(simulated)]
    try:
        with evaluating(simulated):
            simulated(golden)
    finally:
        for hook in hooks:
            hook.remove()
    return found


class ImageOnly(nn.Module):
    """A trace with taps as a generator: its image alone."""

    def __init__(self, runner: nn.Module) -> None:
        super().__init__()
        self.runner = runner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the student maps `x` to."""
        return self.runner(x)[0]


def bake(simulated: fx.GraphModule) -> None:
    """Writes the quantised weights into the student that the simulation shares, so that the exporter's own scales
    reproduce them; norms in front of 1x1 convolutions give their scale and shift away."""
    with torch.no_grad():
        for each in simulated.modules():
            if not isinstance(each, QuantizedConvolution):
                continue
            weight, bias = each.quantized()
            if each.norm is not None:
                weight, bias = unfold_batch_norm(each, weight), each.layer.bias
            if each.before is not None and each.before.weight is not None:
                each.before.weight.fill_(1.0)
                each.before.bias.zero_()
            each.layer.weight.copy_(weight)
            if bias is not None and each.layer.bias is not None:
                each.layer.bias.copy_(bias)
