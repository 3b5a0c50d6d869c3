"""Sub-networks of any widths: as views of the big network's parameters, or extracted as plain
modules.

Both read the same plan through the same functions, so a slice and the module extracted from it
compute the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from edgegan.channels.groups import ChannelGraph, Group, Segment
from edgegan.errors import ConfigError, nearest

Plan = Mapping[str, "int | torch.Tensor"]


@dataclass(frozen=True)
class Slice:
    """A sub-network of a module: its tensors by name, the layer integers that go with them, and
    what runs them."""

    tensors: dict[str, torch.Tensor]
    counts: dict[tuple[str, str], int]
    graph: ChannelGraph


def slice_parameters(module: nn.Module, graph: ChannelGraph, plan: Plan) -> Slice:
    """The sub-network of `plan`, {group: width or int64 tensor of channel indices}; groups left out
    keep all channels.

    A width takes the leading channels: views that share memory with the module and pass gradients
    to it (a dimension joined from several groups is copied, with gradients). Indices are gathered,
    with gradients; running statistics gathered so are copies. Raises ConfigError for unknown or
    fixed groups and widths outside 1..size.
    """
    widths = check_plan(graph, plan)
    tensors = {
        name: slice_tensor(tensor, graph.dimensions.get(name, {}), graph, plan)
        for name, tensor in named_tensors(module)
    }
    return Slice(tensors, layer_counts(graph, widths), graph)


def run_sliced(module: nn.Module, sliced: Slice, *inputs: torch.Tensor) -> Any:
    """The sub-network's output, in the module's present mode.

    The module's layers carry the sub-network's integers while it runs and get their own back
    afterwards, so one module runs one slice at a time; do not wrap it in activation checkpointing,
    which would run it again later.
    """
    runner, tensors = module, sliced.tensors
    if sliced.graph.rewritten:
        runner = sliced.graph.program
        tensors = {name: tensors[name] for name, _ in named_tensors(runner)}
    with counted(runner, sliced.counts):
        return functional_call(runner, tensors, inputs)


def extract(module: nn.Module, graph: ChannelGraph, plan: Plan) -> nn.Module:
    """The sub-network of `plan` as a standalone module with its own parameters, in the module's
    mode.

    It is of the module's own class with the same parameter names; only where the code states a
    channel number in a reshape is it the traced program, an fx.GraphModule. Raises as
    `slice_parameters`.
    """
    widths = check_plan(graph, plan)
    extracted = extract_from(module, graph.program if graph.rewritten else module, graph, plan)
    extracted.training = module.training
    set_counts(extracted, layer_counts(graph, widths))
    return extracted


def extract_from(module: nn.Module, base: nn.Module, graph: ChannelGraph, plan: Plan) -> nn.Module:
    """A copy of `base` with sliced tensors of its own; its layers' integers are still the old
    ones."""
    memo: dict[int, Any] = {}
    source = dict(named_tensors(module))
    for name, tensor in named_tensors(base):
        whole = source.get(name, tensor).detach()
        sliced = slice_tensor(whole, graph.dimensions.get(name, {}), graph, plan)
        own = sliced.clone(memory_format=torch.contiguous_format)
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(own, tensor.requires_grad) if is_parameter else own
    return copy.deepcopy(base, memo)


def named_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, each once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def check_plan(graph: ChannelGraph, plan: Plan, least: int = 1) -> dict[str, int]:
    """The width of every group under a plan; raises ConfigError."""
    widths = {name: group.size for name, group in graph.groups.items()}
    for name, choice in plan.items():
        if name not in graph.groups:
            raise ConfigError(f"no channel group '{name}'{nearest(name, graph.groups)}")
        group = graph.groups[name]
        widths[name] = choice if isinstance(choice, int) else check_indices(group, choice)
        if not least <= widths[name] <= group.size:
            raise ConfigError(
                f"group '{name}' has {group.size} channels; {widths[name]} cannot be taken"
            )
        if group.fixed and widths[name] != group.size:
            raise ConfigError(f"group '{name}' is a network input or output and keeps its width")
    return widths


def check_indices(group: Group, indices: torch.Tensor) -> int:
    """The number of indices of a plan; raises ConfigError unless they are distinct channels of the
    group."""
    found = indices.tolist()
    if indices.dim() != 1 or len(set(found)) != len(found):
        raise ConfigError(f"group '{group.name}': indices must be one row of distinct channels")
    if found and not 0 <= min(found) <= max(found) < group.size:
        raise ConfigError(f"group '{group.name}' has channels 0..{group.size - 1}")
    return len(found)


def slice_tensor(
    tensor: torch.Tensor,
    dimensions: Mapping[int, tuple[Segment, ...]],
    graph: ChannelGraph,
    plan: Plan,
) -> torch.Tensor:
    """A parameter's entries under a plan."""
    for dim, segments in dimensions.items():
        if any(each.group in plan for each in segments):
            tensor = slice_dimension(tensor, dim, segments, graph, plan)
    return tensor


def slice_dimension(
    tensor: torch.Tensor, dim: int, segments: tuple[Segment, ...], graph: ChannelGraph, plan: Plan
) -> torch.Tensor:
    """A dimension's entries under a plan: one view when all channels come first, gathered or joined
    otherwise."""
    parts, start = [], 0
    for each in segments:
        size = graph.groups[each.group].size
        choice = plan.get(each.group, size)
        if isinstance(choice, int):
            parts.append(tensor.narrow(dim, start, choice * each.repeat))
        else:
            entries = start + entries_of(choice.to(tensor.device), each.repeat)
            parts.append(tensor.index_select(dim, entries))
        start += size * each.repeat
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def entries_of(channels: torch.Tensor, repeat: int) -> torch.Tensor:
    """Entries of a segment that belong to these channels."""
    inner = torch.arange(repeat, device=channels.device)
    return (channels[:, None] * repeat + inner).flatten()


def kept_entries(
    graph: ChannelGraph, segments: tuple[Segment, ...], kept: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Entries of a dimension that stay, in the order of the extracted dimension."""
    runs, start = [], 0
    for each in segments:
        size = graph.groups[each.group].size
        runs.append(start + entries_of(kept.get(each.group, torch.arange(size)), each.repeat))
        start += size * each.repeat
    return torch.cat(runs)


def layer_counts(graph: ChannelGraph, widths: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """The integers of every layer for these widths."""
    return {
        (each.module, each.attribute): sum(
            widths[segment.group] * segment.repeat for segment in each.segments
        )
        // each.divisor
        for each in graph.counts
    }


def set_counts(module: nn.Module, counts: Mapping[tuple[str, str], Any]) -> None:
    """Writes layer integers such as num_features and groups, and the first of a tuple of sizes."""
    for (name, attribute), value in counts.items():
        layer = module.get_submodule(name)
        before = getattr(layer, attribute)
        if isinstance(before, tuple) and isinstance(value, int):
            value = (value, *before[1:])
        setattr(layer, attribute, value)


@contextmanager
def counted(module: nn.Module, counts: Mapping[tuple[str, str], int]) -> Iterator[None]:
    """Layers with other integers for a while."""
    before = {key: getattr(module.get_submodule(key[0]), key[1]) for key in counts}
    set_counts(module, counts)
    try:
        yield
    finally:
        set_counts(module, before)
