"""The network that slimming starts from: how wide, with which weights, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.importance import order_channels, permute, score_channels
from edgegan.channels.slicing import extract
from edgegan.compress.costs.network import NetworkCosts
from edgegan.compress.first_weights import earlier_student
from edgegan.compress.form import Form, find_scale, student_form
from edgegan.console import format_cost, say
from edgegan.errors import BudgetError, ConfigError
from edgegan.metrics.complexity import format_macs
from edgegan.models.blocks import initialise, scale_width
from edgegan.models.spec import Spec
from edgegan.models.zoo import load_generator, parse_spec
from edgegan.package import PackageConfig, input_shape
from edgegan.recipe.cost import CostFunction
from edgegan.recipe.kinds import is_counted
from edgegan.recipe.schema import Recipe
from edgegan.recipe.slim_section import Slim

Aim = tuple[str, float]  # a budget with its kind


@dataclass(frozen=True)
class Start:
    """The start network at its scale, its costs at any widths, and the budget."""

    spec: Spec
    scale: float
    module: nn.Module
    graph: ChannelGraph
    example: torch.Tensor
    costs: NetworkCosts
    budget_kind: str | None
    budget: float | None

    @property
    def cost(self) -> CostFunction:
        """What the budget limits, by widths; bytes where there is no budget. A measured kind needs `with_measured`."""
        return self.costs.functions[self.budget_kind or "bytes"]

    @property
    def full_cost(self) -> float:
        """What it costs as it is."""
        return self.cost(self.costs.table.full)

    def with_measured(self, measured: dict[str, CostFunction], least: dict[str, int]) -> Start:
        """The same with the costs that tables tell; `least` are its narrowest widths.

        Raises BudgetError naming the smallest reachable cost, ConfigError when there is nothing to prune.
        """
        found = replace(self, costs=self.costs.with_measured(measured))
        if self.budget is not None and found.cost(least) > self.budget:
            raise BudgetError(
                f"the budget of {format_cost(self.budget)} {self.budget_kind} is below the narrowest network, "
                f"{format_cost(found.cost(least))} {self.budget_kind}"
            )
        found.check_prunable()
        return found

    def check_prunable(self) -> None:
        """Raises ConfigError when it costs less than the budget."""
        if self.budget is not None and self.full_cost < self.budget:
            raise ConfigError(
                f"the start network costs {format_cost(self.full_cost)} {self.budget_kind}, less than the budget of "
                f"{format_cost(self.budget)}: there is nothing to prune; lower the budget, or set student.block dense "
                "or a larger student.scale"
            )


def choose_start(config: PackageConfig, teacher: Path, recipe: Recipe) -> Start:
    """The start network of a recipe: the student's form of the teacher at the scale that the budget asks for, the
    teacher's own slice, or an earlier student."""
    slimming, form, known = recipe.slim, student_form(config, recipe), None
    earlier, scale = recipe.student.earlier, recipe.student.scale
    if earlier is not None:
        known = earlier_student(earlier, config.family)
        own = known[0]
        form, scale = Form(lambda _: own, form.shape), 1.0
        slimming = slimming.model_copy(update={"start": 0.0})
        say(f"weights and form are those of {earlier}: student.block, norm and scale do not apply")
    elif slimming.initial == "teacher":
        module = load_generator(teacher)[1]
        spec = parse_spec(config.family, config.spec)
        graph = trace_channels(module, torch.zeros(input_shape(config.input, config.size)))
        known = (spec, module)
        say("weights are the teacher's: student.block and student.norm do not apply")

        def sliced_at(scale: float) -> Spec:
            return sliced_spec(spec, graph, scale, slimming.round_to)

        form = Form(sliced_at, form.shape)
    start = make_start(form, scale, slimming, recipe.budget.aim, known, recipe.seed)
    table = start.costs.table
    aim = recipe.budget.aim
    wanted = f", budget {format_cost(aim[1])} {aim[0]}" if aim else ""
    say(
        f"start network: {format_macs(table.macs(table.full))}MACs, about "
        f"{table.bytes(table.full):,.0f} bytes in int8{wanted}"
    )
    return start


def make_start(
    form: Form,
    own_scale: float,
    slimming: Slim,
    aim: Aim | None,
    known: tuple[Spec, nn.Module] | None,
    seed: int,
) -> Start:
    """The start network: the form at `own_scale`, or at the scale at which it costs `slimming.start` budgets where
    widths alone tell the cost.

    `known`, the teacher or an earlier student with its spec, gives the weights; None: they are random. Raises
    ConfigError when no scale reaches the budget.
    """
    kind, budget = aim or (None, None)
    scale = own_scale
    if slimming.start > 0 and aim is not None and is_counted(aim[0]):
        widest = form.network(1.0)
        cost = widest.costs.functions[aim[0]]
        scale = find_scale(
            lambda each: cost(form.spec_at(each).plan(widest.graph)), slimming.start * aim[1]
        )
    torch.manual_seed(seed)
    network = form.network(scale)
    start = Start(
        network.spec,
        scale,
        network.module,
        network.graph,
        network.example,
        network.costs,
        kind,
        budget,
    )
    if is_counted(kind):
        start.check_prunable()
    if known is None:
        torch.manual_seed(seed)
        initialise(start.module)
    else:
        start.module.load_state_dict(teacher_slice(*known, start.spec, start.example))
    return start


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
