"""Taking channels away from a student in training: its weights, the optimiser's moments, the feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.program import evaluating
from edgegan.channels.slicing import extract, kept_entries, slice_tensor
from edgegan.channels.tapped import tap_segments
from edgegan.compress.slimming.gates import prune_in_place
from edgegan.errors import TrainingError
from edgegan.models.residual_blocks import block_of, renumber_blocks
from edgegan.models.spec import Spec
from edgegan.training.losses import FeatureMaps

EXACT = 1e-3


@dataclass
class Narrowed:
    """A student and the channels of its start network that it still has; none in the group of a removed block."""

    module: nn.Module
    graph: ChannelGraph
    kept: dict[str, torch.Tensor]

    def widths(self) -> dict[str, int]:
        """Width of every group of the start network, 0 for removed ones."""
        return {name: len(channels) for name, channels in self.kept.items()}


def begin(module: nn.Module, example: torch.Tensor) -> Narrowed:
    """A start network with all its channels."""
    graph = trace_channels(module, example)
    return Narrowed(module, graph, {group.name: torch.arange(group.size) for group in graph.free()})


def removable_groups(spec: Spec, graph: ChannelGraph) -> dict[str, str]:
    """For families whose residual blocks may go: the group inside each block, by the block's prefix."""
    if not any(field.removable for field in spec.WIDTHS):
        return {}
    blocks = {group.name: block_of(group.name) for group in graph.free()}
    return {f"blocks.{block}.": name for name, block in blocks.items() if block is not None}


def tied_groups(spec: Spec, graph: ChannelGraph) -> list[tuple[str, ...]]:
    """Groups for which the spec has only one number."""
    places: dict[tuple[str, int | None], list[str]] = {}
    for group in graph.free():
        places.setdefault(spec.place_of(group.name), []).append(group.name)
    return [tuple(names) for names in places.values() if len(names) > 1]


def narrow(
    student: Narrowed, keep: Mapping[str, torch.Tensor], example: torch.Tensor
) -> tuple[Narrowed, ChannelGraph]:
    """The student with only the channels `keep` of its present ones, as a new module; and the graph it was cut by.

    Groups with nothing kept are inside residual blocks, which become the identity; what such a block still adds
    (the shift of its last norm) goes to the block before. Raises TrainingError when the cut module does not compute
    what the whole one computes without those channels.
    """
    for name, channels in keep.items():
        if not len(channels):
            block = block_of(name)
            assert block is not None
            remove_block(student.module, block)
    graph = trace_channels(student.module, example)
    plan = {name: channels for name, channels in keep.items() if len(channels)}
    module = extract(student.module, graph, plan)
    check_cut(student.module, module, graph, plan, example)
    kept = {
        name: channels[keep[name]] if name in keep else channels
        for name, channels in student.kept.items()
    }
    return Narrowed(module, trace_channels(module, example), kept), graph


def check_cut(
    whole: nn.Module,
    cut: nn.Module,
    graph: ChannelGraph,
    plan: Mapping[str, torch.Tensor],
    example: torch.Tensor,
) -> None:
    """Raises TrainingError unless cutting out equals silencing, in evaluation mode."""
    masked = prune_in_place(whole, graph, plan)
    with evaluating(masked), evaluating(cut):
        difference = float((masked(example) - cut(example)).abs().max())
    if not difference <= EXACT:
        raise TrainingError(
            f"the cut network differs from the masked one by {difference:.2e}; please report this"
        )


def remove_block(module: nn.Module, index: int) -> None:
    """Replaces a residual block by the identity; the shift that it would still add goes into the block before."""
    blocks = module.get_submodule("blocks")
    assert isinstance(blocks, nn.ModuleList)
    shift = getattr(blocks[index].norm2, "bias", None)
    earlier = [blocks[i] for i in range(index) if not isinstance(blocks[i], nn.Identity)]
    later = [b for b in list(blocks)[index + 1 :] if not isinstance(b, nn.Identity)]
    target = earlier[-1] if earlier else later[0] if later else None
    own = None if target is None else getattr(target.norm2, "bias", None)
    if isinstance(shift, torch.Tensor) and isinstance(own, torch.Tensor):
        exact = bool(earlier) or isinstance(target.norm1, nn.InstanceNorm2d)  # type: ignore[union-attr]
        if exact:
            with torch.no_grad():
                own.add_(shift)
    blocks[index] = nn.Identity()


def narrow_moments(
    optimizer: torch.optim.Optimizer,
    before: Mapping[str, torch.Tensor],
    after: Mapping[str, torch.Tensor],
    graph: ChannelGraph,
    keep: Mapping[str, torch.Tensor],
) -> dict[torch.Tensor, dict[str, torch.Tensor]]:
    """The optimiser's state for the parameters `after`, cut from that of the parameters of the same names `before`."""
    moments = {}
    plan = {name: channels for name, channels in keep.items() if len(channels)}
    for name, parameter in after.items():
        state = optimizer.state.get(before[name], {})
        moments[parameter] = {
            key: slice_tensor(value, graph.dimensions.get(name, {}), graph, plan).clone()
            if value.dim()
            else value
            for key, value in state.items()
        }
    return moments


def narrow_maps(
    maps: FeatureMaps,
    graph: ChannelGraph,
    taps: list[str],
    keep: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Cuts the feature maps' inputs in place of their old weights; returns the old weights by name."""
    plan = {name: channels for name, channels in keep.items() if len(channels)}
    old = {}
    for index, tap in enumerate(taps):
        segments = tap_segments(graph, tap)
        conv = maps.maps[index]
        assert isinstance(conv, nn.Conv2d)
        columns = kept_entries(graph, segments, plan).to(conv.weight.device)
        old[f"maps.{index}.weight"] = conv.weight
        conv.weight = nn.Parameter(conv.weight.detach()[:, columns].clone())
        conv.in_channels = len(columns)
    return old


def finished(spec: Spec, graph: ChannelGraph, student: Narrowed) -> tuple[Spec, nn.Module]:
    """The student as its family's own module, with its spec; `graph` is that of the start network of spec `spec`."""
    final = spec.narrowed(graph, student.widths())
    module = final.build()
    state = student.module.state_dict()
    module.load_state_dict(renumber_blocks(state) if removable_groups(spec, graph) else state)
    return final, module.eval()
