"""What a generator costs at any widths, from its layer list: true MACs, parameters, and the bytes of its int8
.tflite.

All are sums over layers of a constant times the widths on both sides, so that a thousand plans cost milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from edgegan.channels.groups import ChannelGraph, Segment
from edgegan.deployment.enlargement import NEAREST, PHASE_TAPS, PHASES, is_doubling
from edgegan.deployment.few_outputs import becomes_strided
from edgegan.deployment.file_overheads import DYNAMIC_OVERHEAD, STATIC_OVERHEAD, STEP_BYTES
from edgegan.deployment.picture_norms import litert_policy, loses_vectors
from edgegan.metrics.complexity import LayerCost, measure
from edgegan.recipe.cost import CostFunction, Widths


@dataclass(frozen=True)
class Weighted:
    """A layer with its weights as the channel graph sees them; `branch` is the group without which it is not there."""

    cost: LayerCost
    layer: nn.Module
    rows: tuple[Segment, ...]
    columns: tuple[Segment, ...]
    branch: str | None
    folds: bool
    enlarged: bool

    def shape(self, graph: ChannelGraph, widths: Widths) -> tuple[int, int]:
        """Entries of the weight's two channel dimensions under these widths, (rows, columns)."""
        return entries(graph, self.rows, widths), entries(graph, self.columns, widths)


@dataclass(frozen=True)
class LayerTable:
    """The layers of a generator at one image size, ready to be counted at any widths."""

    graph: ChannelGraph
    layers: tuple[Weighted, ...]
    full: Mapping[str, int]
    overhead: Mapping[str, float]

    @cached_property
    def macs(self) -> CostFunction:
        """True MACs of one image."""

        def of_layer(each: Weighted, rows: int, columns: int) -> float:
            whole_rows, whole_columns = each.shape(self.graph, self.full)
            return each.cost.macs * rows * columns / (whole_rows * whole_columns)

        return self.summed(of_layer, 0.0)

    @cached_property
    def parameters(self) -> CostFunction:
        """Trained numbers."""

        def of_layer(each: Weighted, rows: int, columns: int) -> float:
            whole_rows, whole_columns = each.shape(self.graph, self.full)
            weighted = isinstance(each.layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
            own = each.layer.get_parameter("weight").numel() if weighted else 0
            transposed = isinstance(each.layer, nn.ConvTranspose2d) and each.layer.groups == 1
            outputs = columns / whole_columns if transposed else rows / whole_rows
            vectors = (each.cost.parameters - own) * outputs
            return own * rows * columns / (whole_rows * whole_columns) + vectors

        return self.summed(of_layer, 0.0)

    @cached_property
    def bytes(self) -> CostFunction:
        """Size of the int8 .tflite: dynamic int8 where a norm follows each picture, else static."""
        dynamic = self.overhead is DYNAMIC_OVERHEAD

        def of_layer(each: Weighted, rows: int, columns: int) -> float:
            fixed = overhead_kinds(each).items()
            return layer_bytes(each, rows, columns, dynamic) + sum(
                self.overhead.get(kind, 0.0) * count for kind, count in fixed
            )

        return self.summed(of_layer, self.overhead["file"])

    def summed(self, of_layer: Callable[[Weighted, int, int], float], fixed: float) -> CostFunction:
        """A sum over layers of what is linear in each layer's two widths, reduced to four numbers a layer."""
        terms = []
        for each in self.layers:
            none = of_layer(each, 0, 0)
            row, column = of_layer(each, 1, 0) - none, of_layer(each, 0, 1) - none
            both = of_layer(each, 1, 1) - row - column - none
            terms.append((each.branch, each.rows, each.columns, (both, row, column, none)))
        sizes = dict(self.full)

        def cost(widths: Widths) -> float:
            merged = {**sizes, **widths}
            total = fixed
            for branch, rows, columns, (both, row, column, none) in terms:
                if branch is not None and merged[branch] == 0:
                    continue
                r = sum([merged[s.group] * s.repeat for s in rows]) if rows else 1
                c = sum([merged[s.group] * s.repeat for s in columns]) if columns else 1
                total += both * r * c + row * r + column * c + none
            return total

        return cost


def entries(graph: ChannelGraph, segments: tuple[Segment, ...], widths: Widths) -> int:
    """Entries of a dimension under these widths; 1 for no dimension."""
    if not segments:
        return 1
    return sum(widths.get(s.group, graph.groups[s.group].size) * s.repeat for s in segments)


def layer_bytes(each: Weighted, rows: int, columns: int, dynamic: bool) -> float:
    """Bytes of a layer's constants in the file."""
    layer = each.layer
    if isinstance(layer, nn.ConvTranspose2d) and is_doubling(layer):
        return rows * columns * 16 + columns * 4 * STEP_BYTES + biases(each, 4 * columns, dynamic)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        if each.enlarged:
            taps, rows = PHASE_TAPS, rows * PHASES
        elif is_strided(each):
            taps = (layer.kernel_size[0] + 1) * (layer.kernel_size[1] + 1)
            rows *= 4
        return rows * columns * taps + rows * STEP_BYTES + biases(each, rows, dynamic)
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        taps = layer.weight[0, 0].numel() if layer.weight.dim() == 4 else 1
        size = rows * columns * taps
        if dynamic:
            return size * 4 + biases(each, rows, dynamic)
        return size + rows * STEP_BYTES + biases(each, rows, dynamic)
    if getattr(layer, "weight", None) is None or not dynamic or each.folds:
        return 0.0
    return 8.0 * rows


def biases(each: Weighted, count: int, dynamic: bool) -> float:
    """Bytes of a bias that the file keeps: an InstanceNorm behind the layer takes it away; int32 with its own steps in
    static int8."""
    if dynamic:
        return 4.0 * count * (not each.folds and each.layer.bias is not None)
    return float((4 + STEP_BYTES) * count)


def is_strided(each: Weighted) -> bool:
    """Whether the file holds this convolution with stride 2 and depth_to_space."""
    height, width = each.cost.output_shape[-2:]
    return isinstance(each.layer, nn.Conv2d) and becomes_strided(each.layer, height, width)


def overhead_kinds(each: Weighted) -> dict[str, int]:
    """What a layer adds to the parts of a file that no width changes."""
    layer = each.layer
    if isinstance(layer, nn.ConvTranspose2d) or each.enlarged:
        return {"doubling": 1}
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        return {"depthwise": 1}
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        return {"doubling" if is_strided(each) else "convolution": 1}
    if isinstance(layer, nn.ReflectionPad2d):
        return {"pad_pixel": layer.padding[0]}
    norms = (nn.InstanceNorm2d, nn.BatchNorm2d, nn.GroupNorm)
    return {"norm": 1} if isinstance(layer, norms) else {}


def tabulate(
    module: nn.Module,
    example: torch.Tensor,
    graph: ChannelGraph,
    branches: Mapping[str, str] | None = None,
) -> LayerTable:
    """The layer table of a generator; `branches` maps a module prefix ("blocks.0.") to the group that keeps it."""
    costs = measure(module, example, cross_check=False).layers
    dynamic = litert_policy(module) == "dynamic"
    order = [cost.name for cost in costs]
    rows = []
    enlarged = behind_enlargement(module, example)
    for index, cost in enumerate(costs):
        layer = module.get_submodule(cost.name)
        dims = graph.dimensions.get(f"{cost.name}.weight", {})
        branch = next((g for p, g in (branches or {}).items() if cost.name.startswith(p)), None)
        first = dims.get(0, ())
        depthwise = getattr(layer, "groups", 1) > 1
        second = () if depthwise else dims.get(1, ())
        after = module.get_submodule(order[index + 1]) if index + 1 < len(order) else None
        rows.append(
            Weighted(
                cost,
                layer,
                first,
                second,
                branch,
                loses_vectors(layer, after),
                cost.name in enlarged,
            )
        )
    full = {name: group.size for name, group in graph.groups.items()}
    return LayerTable(graph, tuple(rows), full, DYNAMIC_OVERHEAD if dynamic else STATIC_OVERHEAD)


def behind_enlargement(module: nn.Module, example: torch.Tensor) -> set[str]:
    """Names of the 3x3 convolutions that read a picture doubled by nearest neighbours, at once or behind a border: the
    exporter writes each as a 2x2 convolution for every one of four phases."""
    marked: list[torch.Tensor] = []
    found: set[str] = set()

    def is_marked(inputs: tuple[torch.Tensor, ...]) -> bool:
        return any(inputs[0] is each for each in marked)

    def mark(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        doubled = output.shape[-1] == 2 * inputs[0].shape[-1]
        if is_marked(inputs) or (doubled and getattr(layer, "mode", None) in NEAREST):
            marked.append(output)

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if is_marked(inputs):
            found.add(names[layer])

    names: dict[nn.Module, str] = {}
    hooks = []
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Upsample, nn.ReflectionPad2d, nn.ReplicationPad2d)):
            hooks.append(layer.register_forward_hook(mark))
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.groups == 1:
            names[layer] = name
            hooks.append(layer.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found
