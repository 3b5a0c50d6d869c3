"""The network that slimming starts from: how wide, with which weights, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from edgegan.channels.graph import ChannelGraph, trace_channels
from edgegan.channels.importance import order_channels, permute, score_channels
from edgegan.channels.slicing import extract
from edgegan.compress.costs.counted import CostFunction, LayerTable, tabulate
from edgegan.compress.slimming.narrow import removable_groups
from edgegan.errors import ConfigError
from edgegan.models.blocks import initialise, scale_width
from edgegan.models.spec import Spec
from edgegan.recipe.schema import Slim

SEARCH_STEPS = 12
TRACE_SIDE = 32


@dataclass(frozen=True)
class Start:
    """The start network, its costs at any widths, and the budget."""

    spec: Spec
    scale: float
    module: nn.Module
    graph: ChannelGraph
    table: LayerTable
    example: torch.Tensor
    budget_kind: str | None
    budget: float | None
    cost: CostFunction

    @property
    def full_cost(self) -> float:
        """What it costs as it is."""
        return self.cost(self.table.full)


def make_start(
    spec_at: Callable[[float], Spec],
    own_scale: float,
    slimming: Slim,
    aim: tuple[str, float] | None,
    shape: tuple[int, ...],
    teacher: tuple[Spec, nn.Module] | None,
    seed: int,
) -> Start:
    """The start network: `spec_at(own_scale)`, or the scale at which it costs `slimming.start` budgets; `aim` is the
    budget with its kind.

    `shape` is that of one input, at which costs are counted; `teacher` gives the weights when `slimming.initial` is
    "teacher". Raises ConfigError when no scale reaches the budget.
    """
    kind, budget = aim or (None, None)
    example = small_example(spec_at(own_scale), shape)

    def at(scale: float) -> Start:
        spec = spec_at(scale)
        module = spec.build()
        graph = trace_channels(module, example)
        table = tabulate(*counted(spec, module, shape), graph, removable_groups(spec, graph))
        cost = table.cost(kind or "bytes")
        return Start(spec, scale, module, graph, table, example, kind, budget, cost)

    scale = own_scale
    if slimming.start > 0 and budget is not None:
        widest = at(1.0)
        scale = find_scale(
            lambda scale: widest.cost(spec_at(scale).plan(widest.graph)),
            slimming.start * budget,
        )
    torch.manual_seed(seed)
    found = at(scale)
    if budget is not None and found.full_cost < budget:
        raise ConfigError(
            f"the start network costs {found.full_cost:,.0f} {kind}, less than the budget of {budget:,.0f}: "
            "there is nothing to prune; lower the budget, or set student.block dense or a larger student.scale"
        )
    if slimming.initial == "random":
        torch.manual_seed(seed)
        initialise(found.module)
    else:
        assert teacher is not None
        found.module.load_state_dict(teacher_slice(*teacher, found.spec, example))
    return found


def small_example(spec: Spec, shape: tuple[int, ...]) -> torch.Tensor:
    """A random input small enough to trace and compare quickly."""
    generator = torch.Generator().manual_seed(0)
    if spec.size is None:
        side = max(spec.min_size, -(-TRACE_SIDE // spec.stride) * spec.stride)
        shape = (*shape[:2], min(side, shape[2]), min(side, shape[3]))
    return torch.randn(shape, generator=generator).clamp(-1, 1)


def counted(
    spec: Spec, module: nn.Module, shape: tuple[int, ...]
) -> tuple[nn.Module, torch.Tensor]:
    """A module and an input to count with: without data where the generator can be built so."""
    if spec.OWN_CODE:
        return module, torch.zeros(shape)
    with torch.device("meta"):
        return spec.build(), torch.zeros(shape)


def find_scale(cost: Callable[[float], float], wanted: float) -> float:
    """The scale in (0, 1] at which the cost comes closest to `wanted` from above; 1 when none reaches it."""
    low, high = 0.0, 1.0
    if cost(high) <= wanted:
        return high
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        if cost(middle) >= wanted:
            high = middle
        else:
            low = middle
    return high


def sliced_spec(spec: Spec, graph: ChannelGraph, scale: float, round_to: int) -> Spec:
    """The teacher's own spec with every width times `scale`: what `teacher_slice` can fill."""
    widths = {group.name: scale_width(group.size, scale, round_to) for group in graph.free()}
    return spec.narrowed(graph, widths)


def teacher_slice(
    spec: Spec, teacher: nn.Module, narrow: Spec, example: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The weights of the teacher's most important channels (by the weights that read them) for a narrower spec."""
    graph = trace_channels(teacher, example)
    permute(teacher, graph, order_channels(score_channels(teacher, graph, "l1")))
    graph = trace_channels(teacher, example)
    if type(spec) is not type(narrow):
        raise ConfigError("slim.initial teacher needs a student of the teacher's family")
    return dict(extract(teacher, graph, narrow.plan(graph)).state_dict())
