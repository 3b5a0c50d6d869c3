"""The form of a student: the teacher's family with the recipe's block and norm, at any scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.program import shape_of
from edgegan.channels.rules import BatchNorms
from edgegan.compress.costs.counted import LayerTable, tabulate
from edgegan.compress.costs.network import NetworkCosts, check_reachable, within
from edgegan.compress.slimming.narrow import removable_groups
from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.models.spec import Spec
from edgegan.models.zoo import change_spec, parse_spec
from edgegan.package import PackageConfig, input_shape
from edgegan.recipe.schema import Recipe
from edgegan.recipe.student_section import Student

SEARCH_STEPS = 12
TRACE_SIDE = 32
NARROWER = "raise the budget, or lower student.round_to"


@dataclass(frozen=True)
class Form:
    """A family's networks by scale, and the shape (1, C, H, W) or (1, dimension) of one input, at which costs count."""

    spec_at: Callable[[float], Spec]
    shape: tuple[int, ...]

    def network(self, scale: float) -> Network:
        """The network at a scale, with weights of no meaning."""
        spec = self.spec_at(scale)
        module = spec.build()
        example = small_example(spec, self.shape)
        graph = trace_channels(module, example)
        branches = removable_groups(spec, graph)
        counted = counting(spec, module, self.shape)
        return Network(
            spec, module, graph, example, NetworkCosts(tabulate(*counted, graph, branches))
        )


@dataclass(frozen=True)
class Network:
    """A traced generator with its costs; `example` is a small input that it was traced with."""

    spec: Spec
    module: nn.Module
    graph: ChannelGraph
    example: torch.Tensor
    costs: NetworkCosts

    @property
    def table(self) -> LayerTable:
        """Its layers."""
        return self.costs.table


def student_form(config: PackageConfig, recipe: Recipe) -> Form:
    """The recipe's student of a teacher at any scale."""
    shape = input_shape(config.input, recipe.data.size)
    return Form(lambda scale: spec_at(config, recipe, scale), shape)


def spec_at(config: PackageConfig, recipe: Recipe, scale: float) -> Spec:
    """The student's spec at another scale."""
    return student_spec(config, recipe.student.model_copy(update={"scale": scale}))


def student_spec(teacher: PackageConfig, student: Student) -> Spec:
    """The teacher's spec scaled, then the widths set by hand; raises ConfigError naming a wrong field."""
    spec = parse_spec(teacher.family, teacher.spec)
    scaled = spec.scaled(student.scale, student.round_to, block=student.block, norm=student.norm)
    fields = scaled.fields_of(student.widths)
    return change_spec(teacher.family, scaled, fields, "student.widths")


def check_own(config: PackageConfig, recipe: Recipe) -> None:
    """Says which settings of the student do not apply to the user's own generator; raises ConfigError where it cannot
    be trained with the recipe's batch."""
    spec = parse_spec(config.family, config.spec)
    if not spec.OWN_CODE:
        return
    say(
        "your own generator keeps its blocks and norms: student.block and student.norm do not apply"
    )
    example = torch.zeros(input_shape(config.input, recipe.data.size))
    check_batch(trace_channels(spec.build(), example), recipe.distill.batch)


def check_batch(graph: ChannelGraph, batch: int) -> None:
    """Raises ConfigError naming a BatchNorm that would see one value a channel in training, as after a global pool."""
    for node in graph.program.graph.nodes:
        layer = graph.program.get_submodule(str(node.target)) if node.op == "call_module" else None
        shape = shape_of(node)
        if isinstance(layer, BatchNorms) and shape and math.prod(shape[2:]) * batch == 1:
            raise ConfigError(
                f"layer '{node.target}' of your generator normalises one value a channel, which cannot be trained with "
                "distill.batch 1: set distill.batch to 2 or more"
            )


def small_example(spec: Spec, shape: tuple[int, ...]) -> torch.Tensor:
    """A random input small enough to trace and compare quickly."""
    generator = torch.Generator().manual_seed(0)
    if spec.size is None:
        side = max(spec.min_size, -(-TRACE_SIDE // spec.stride) * spec.stride)
        shape = (*shape[:2], min(side, shape[2]), min(side, shape[3]))
    return torch.randn(shape, generator=generator).clamp(-1, 1)


def counting(
    spec: Spec, module: nn.Module, shape: tuple[int, ...]
) -> tuple[nn.Module, torch.Tensor]:
    """A module and an input to count with: without data where the generator can be built so."""
    if spec.OWN_CODE:
        return module, torch.zeros(shape)
    with torch.device("meta"):
        return spec.build(), torch.zeros(shape)


def bisect(below: Callable[[float], bool]) -> tuple[float, float]:
    """Two neighbouring scales in [0, 1] between which `below` turns from true to false."""
    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return low, high


def find_scale(cost: Callable[[float], float], wanted: float) -> float:
    """The scale in (0, 1] at which the cost comes closest to `wanted` from above; 1 when none reaches it."""
    if cost(1.0) <= wanted:
        return 1.0
    return bisect(lambda scale: cost(scale) < wanted)[1]


def fitting_scale(
    form: Form, network: Network, limits: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """The largest scale in (0, 1] at which every budget holds whose kind the network's costs know, and the costs there.

    `network` is the form at scale 1. Raises BudgetError naming the smallest reachable cost.
    """

    def costs(scale: float) -> dict[str, float]:
        return network.costs.at(form.spec_at(scale).plan(network.graph))

    check_reachable(costs(0.5**SEARCH_STEPS), limits, "student", NARROWER)
    if within(costs(1.0), limits):
        return 1.0, costs(1.0)
    low, _ = bisect(lambda scale: within(costs(max(scale, 0.5**SEARCH_STEPS)), limits))
    scale = max(low, 0.5**SEARCH_STEPS)
    return scale, costs(scale)
