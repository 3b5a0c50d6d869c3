"""Extraction that keeps what pruned channels still said: constants go into the next layer, empty
branches go away.

A channel whose norm has scale zero emits a constant c. Leaving it out changes the layer that reads
it by c times its weights: a bias where that layer has no zero padding, exactly. Under zero padding
and in transposed convolutions the change is not the same everywhere; then either the deviation is
stated, or (`border="carrier"`) one of the constant channels stays and carries the weights of all of
them, exact everywhere at the price of one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn

from edgegan.channels import rules
from edgegan.channels.constants import (
    Constant,
    find_constants,
    has_border,
    weight_blocks,
)
from edgegan.channels.empty import without_empty
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.program import shape_of
from edgegan.channels.slicing import (
    Plan,
    check_plan,
    extract_from,
    kept_entries,
    layer_counts,
    set_counts,
)
from edgegan.errors import ConfigError

Kind = Literal["bias", "carrier", "border", "lost"]


@dataclass(frozen=True)
class Fold:
    """What became of a group's pruned channels at a layer that reads them.

    "bias": added to its bias, exact; "carrier": carried by one kept channel, exact; "border": added
    to its bias, wrong by at most `deviation` at the layer's output; "lost": they were not constant,
    what they said is gone.
    """

    layer: str
    group: str
    kind: Kind
    deviation: float = 0.0


@dataclass(frozen=True)
class Folded:
    """The extracted module, the plan it has (carriers included), and what was done at every reading
    layer."""

    module: nn.Module
    plan: dict[str, torch.Tensor]
    folds: tuple[Fold, ...]

    @property
    def exact(self) -> bool:
        """Whether the module computes what the whole one computes (evaluation mode)."""
        return all(each.kind in ("bias", "carrier") for each in self.folds)


@dataclass(frozen=True)
class Reading:
    """Pruned channels of one group as one layer reads them: entries of its input dimension,
    constants there."""

    node: fx.Node
    layer: str
    group: str
    start: int
    pruned: torch.Tensor
    constant: Constant
    repeat: int

    def values(self) -> torch.Tensor:
        """The constants of the pruned entries, zero where unknown."""
        return self.constant.value.flatten()[self.start + self.pruned]

    def known(self) -> torch.Tensor:
        """Which pruned entries are constant."""
        return self.constant.known.flatten()[self.start + self.pruned]


def extract_folded(
    module: nn.Module,
    graph: ChannelGraph,
    plan: Plan,
    border: Literal["bias", "carrier"] = "bias",
) -> Folded:
    """The sub-network of `plan` with the constants of its pruned channels folded in, for
    evaluation.

    A group may have width 0 here: the branch that it empties is replaced by the constant it is
    worth, often nothing, so that a residual block becomes the identity; the module is then the
    traced program. (An InstanceNorm with a tiny epsilon amplifies the rounding of a constant, so
    there the whole module is the one further from the exact value.) Raises ConfigError for a bad
    plan, or when so much is empty that a constant would have to fill an image.
    """
    check_plan(graph, plan, least=0)
    kept = {
        name: torch.arange(choice) if isinstance(choice, int) else choice.cpu()
        for name, choice in plan.items()
    }
    constants = find_constants(module, graph)
    readings = find_readings(module, graph, kept, constants)
    carriers = choose_carriers(module, readings) if border == "carrier" else {}
    for group, channel in carriers.items():
        kept[group] = torch.cat([kept[group], torch.tensor([channel])])
    absent = frozenset(group for group, channels in kept.items() if not len(channels))
    base: nn.Module = graph.program if graph.rewritten else module
    if absent:
        base = without_empty(module, graph, kept, find_constants(module, graph, absent), absent)
    extracted = extract_from(module, base, graph, kept)
    widths = check_plan(graph, kept, least=0)
    counts = layer_counts(graph, widths)
    present = {name for name, _ in extracted.named_modules()}
    set_counts(extracted, {key: value for key, value in counts.items() if key[0] in present})
    folds = []
    for each in readings:
        target = extracted.get_submodule(each.layer) if each.layer in present else None
        folds.append(apply_fold(module, target, graph, each, kept, carriers.get(each.group)))
    folds += mixed_channels(module, graph, kept)
    extracted.training = module.training
    return Folded(extracted, kept, tuple(folds))


def find_readings(
    module: nn.Module,
    graph: ChannelGraph,
    kept: dict[str, torch.Tensor],
    constants: dict[str, Constant],
) -> list[Reading]:
    """Every dense layer that reads pruned channels, once for each group."""
    readings: list[Reading] = []
    for node in graph.program.graph.nodes:
        layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        dense = isinstance(layer, nn.Linear) or (
            isinstance(layer, rules.Convolutions) and layer.groups == 1
        )
        if not dense:
            continue
        before, start = node.all_input_nodes[0].name, 0
        for segment in graph.nodes[before]:
            size = graph.groups[segment.group].size
            pruned = torch.ones(size, dtype=torch.bool)
            pruned[kept.get(segment.group, torch.arange(size))] = False
            if pruned.any():
                entries = pruned.repeat_interleave(segment.repeat).nonzero().flatten()
                readings.append(
                    Reading(
                        node,
                        str(node.target),
                        segment.group,
                        start,
                        entries,
                        constants[before],
                        segment.repeat,
                    )
                )
            start += size * segment.repeat
    nodes = {each.layer: each.node for each in readings}
    for each in readings:
        if nodes[each.layer] is not each.node:
            raise ConfigError(f"layer '{each.layer}' runs more than once and cannot take constants")
    return readings


def pattern(module: nn.Module, reading: Reading) -> torch.Tensor:
    """What the pruned constants add to the layer's output (out, ...) at the traced size, in double
    precision."""
    layer: Any = module.get_submodule(reading.layer)
    weight, _ = weight_blocks(layer)
    kernel = (weight[:, reading.start + reading.pruned] * reading.values()[:, None]).sum(1)
    if not has_border(layer):
        return kernel.sum(1)[:, None]
    size = shape_of(reading.node.all_input_nodes[0])
    assert size is not None
    ones = torch.ones(1, 1, *size[2:], dtype=torch.float64)
    taps = kernel.reshape(len(kernel), 1, *layer.kernel_size)
    rank = len(size) - 2
    if isinstance(layer, rules.Transposed):
        run = F.conv_transpose2d if rank == 2 else F.conv_transpose1d
        options: Any = (layer.stride, layer.padding, layer.output_padding, 1, layer.dilation)
        return run(ones, taps.transpose(0, 1), None, *options)[0].flatten(1)
    straight = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    return straight(ones, taps, None, layer.stride, layer.padding, layer.dilation)[0].flatten(1)


def best_bias(module: nn.Module, reading: Reading) -> tuple[torch.Tensor, float]:
    """The bias (out,) that stands for the pruned constants, and the largest deviation from them
    anywhere.

    Inside the image it is exact for a convolution, and the deviation is that of the zero-padded
    border; for a transposed convolution, whose pattern repeats with its stride, it is the middle of
    the pattern.
    """
    added = pattern(module, reading)
    if not has_border(module.get_submodule(reading.layer)):
        return added[:, 0], 0.0
    if isinstance(module.get_submodule(reading.layer), rules.Transposed):
        bias = (added.amax(1) + added.amin(1)) / 2
    else:
        weight, _ = weight_blocks(module.get_submodule(reading.layer))
        entries = weight[:, reading.start + reading.pruned].sum(2)
        bias = (entries * reading.values()).sum(1)
    return bias, float((added - bias[:, None]).abs().max())


def choose_carriers(module: nn.Module, readings: list[Reading]) -> dict[str, int]:
    """For each group that a bias cannot replace exactly, the pruned channel that can carry all of
    them.

    It must be constant and not zero wherever the others are constant and not zero.
    """
    carriers = {}
    for group in dict.fromkeys(each.group for each in readings):
        own = [each for each in readings if each.group == group]
        speaking = [each for each in own if each.values().abs().max() > 0]
        inexact = any(best_bias(module, each)[1] > 0 for each in speaking)
        if not inexact or any(each.repeat > 1 for each in own):
            continue
        strength = torch.stack([each.values().abs() * each.known() for each in speaking]).amin(0)
        if strength.max() > 0:
            carriers[group] = int(own[0].pruned[strength.argmax()])
    return carriers


def apply_fold(
    module: nn.Module,
    target: Any,
    graph: ChannelGraph,
    reading: Reading,
    kept: dict[str, torch.Tensor],
    carrier: int | None,
) -> Fold:
    """Writes one reading's constants into the extracted layer (None when it is gone with its
    branch)."""
    lost = lost_weights(module, reading)
    bias, deviation = best_bias(module, reading)
    kind: Kind = "lost" if lost else "border" if deviation > 0 else "bias"
    if carrier is not None and target is not None and reading.values().abs().max() > 0:
        carry(module, target, graph, reading, kept, carrier)
        return Fold(reading.layer, reading.group, "lost" if lost else "carrier")
    if target is not None and bias.abs().max() > 0 and not cancels(module, reading):
        bias = bias[kept_entries(graph, graph.nodes[reading.node.name], kept)].to(target.weight)
        target.bias = nn.Parameter(bias if target.bias is None else bias + target.bias.detach())
    return Fold(reading.layer, reading.group, kind, deviation)


def cancels(module: nn.Module, reading: Reading) -> bool:
    """Whether an InstanceNorm takes the bias away again, and the layer has none yet."""
    users = [
        module.get_submodule(str(user.target))
        for user in reading.node.users
        if user.op == "call_module"
    ]
    normalised = len(users) == len(reading.node.users) and all(
        isinstance(user, rules.InstanceNorms) and user.running_mean is None for user in users
    )
    return normalised and module.get_submodule(reading.layer).bias is None


def lost_weights(module: nn.Module, reading: Reading) -> bool:
    """Whether pruned channels that are not constant had weights in the layer."""
    weight, _ = weight_blocks(module.get_submodule(reading.layer))
    gone = weight[:, reading.start + reading.pruned[~reading.known()]]
    return bool(gone.count_nonzero())


def carry(
    module: nn.Module,
    target: Any,
    graph: ChannelGraph,
    reading: Reading,
    kept: dict[str, torch.Tensor],
    carrier: int,
) -> None:
    """Gives the carrier the weights of all pruned channels, each in proportion to its constant."""
    layer: Any = module.get_submodule(reading.layer)
    transposed = isinstance(layer, rules.Transposed)
    weight = layer.weight.detach().double().cpu()
    weight = weight.transpose(0, 1) if transposed else weight
    values = reading.values()
    share = values / values[reading.pruned == carrier]
    shape = (1, -1, *[1] * (weight.dim() - 2))
    column = (weight[:, reading.start + reading.pruned] * share.reshape(shape)).sum(1)
    column = column[kept_entries(graph, graph.nodes[reading.node.name], kept)]
    before = graph.nodes[reading.node.all_input_nodes[0].name]
    place = (kept_entries(graph, before, kept) == reading.start + carrier).nonzero().item()
    with torch.no_grad():
        own = target.weight.transpose(0, 1) if transposed else target.weight
        own[:, place] = column.to(target.weight)


def mixed_channels(
    module: nn.Module, graph: ChannelGraph, kept: dict[str, torch.Tensor]
) -> list[Fold]:
    """GroupNorms and statistics over channels that pruned channels took part in."""
    folds = []
    for node in graph.program.graph.nodes:
        before = node.all_input_nodes[0].name if node.all_input_nodes else ""
        layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        one_group = isinstance(layer, nn.GroupNorm) and layer.num_groups == 1
        over_channels = node.op in ("call_function", "call_method") and (
            [graph.groups[each.group].size for each in graph.nodes.get(node.name, ())] == [1]
        )
        if not (one_group or over_channels) or before not in graph.nodes:
            continue
        for each in graph.nodes[before]:
            if len(kept.get(each.group, ())) < graph.groups[each.group].size and each.group in kept:
                folds.append(Fold(str(node.target) if layer else node.name, each.group, "lost"))
    return folds
