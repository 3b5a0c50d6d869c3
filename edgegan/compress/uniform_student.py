"""Plain distillation: a student with every width of its teacher times one scale, which a budget may choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from edgegan.compress.costs.measured import measured_costs
from edgegan.compress.distill import distill
from edgegan.compress.first_weights import earlier_student
from edgegan.compress.form import check_own, fitting_scale, student_form, student_spec
from edgegan.compress.job import Job, Order, Shaped, training_settings
from edgegan.compress.search.supernet import share_whole
from edgegan.compress.student import Made, finish_student
from edgegan.console import format_cost, say
from edgegan.models.blocks import initialise
from edgegan.models.zoo import build
from edgegan.recipe.kinds import is_counted


def uniform_student(order: Order) -> Shaped:
    """The student at `student.scale`, or at the largest scale that meets the budgets which widths alone tell.

    Raises BudgetError naming the smallest reachable cost.
    """
    config, recipe = order.config, order.recipe
    check_own(config, recipe)
    limits = {kind: limit for kind, limit in recipe.budget.limits().items() if is_counted(kind)}
    if not limits:
        earlier = recipe.student.earlier
        known = earlier_student(earlier, config.family)[0] if earlier is not None else None
        return Shaped(order, known or student_spec(config, recipe.student))
    form = student_form(config, recipe)
    scale, costs = fitting_scale(form, form.network(1.0), limits)
    return Shaped(order, form.spec_at(scale), figures=chosen(scale, costs, limits))


def meet_measured(job: Job) -> Job:
    """The job with a student narrow enough for budgets of milliseconds and instructions as well."""
    recipe, limits = job.recipe, job.recipe.budget.limits()
    if all(map(is_counted, limits)):
        return job
    form = student_form(job.config, recipe)
    torch.manual_seed(recipe.seed)
    widest = form.network(1.0)
    initialise(widest.module)
    whole = replace(job, spec=widest.spec)
    spec, round_to = type(widest.spec), recipe.student.round_to
    shared = share_whole(widest.module, widest.graph, spec, round_to)
    costs = widest.costs.with_measured(measured_costs(whole, shared))
    scale, found = fitting_scale(form, replace(widest, costs=costs), limits)
    return replace(job, spec=form.spec_at(scale), figures=chosen(scale, found, limits))


def chosen(
    scale: float, costs: Mapping[str, float], limits: Mapping[str, float]
) -> dict[str, object]:
    """Says and notes what a budget chose."""
    kinds = [kind for kind in limits if kind in costs]
    wanted, spent = (
        ", ".join(f"{format_cost(each[kind])} {kind}" for kind in kinds) for each in (limits, costs)
    )
    say(f"budget {wanted}: student.scale {scale:.4g} costs {spent}")
    return {"scale": scale, "budget": dict(limits), "costs": {kind: costs[kind] for kind in kinds}}


def distil_student(job: Job) -> Job:
    """The stage "student": distillation from the first step to the last."""
    inputs = job.hash(training_settings(job.recipe.distill))
    finish_student(job, inputs, lambda: train_uniform(job, inputs))
    return job


def train_uniform(job: Job, inputs: str) -> Made:
    """Fresh weights, distilled."""
    settings = job.recipe.distill
    torch.manual_seed(job.recipe.seed)
    student = build(job.family, job.spec)
    initialise(student)
    job.start_student(student)
    distill(student, job.cache, settings, job.inherited, job.training("student", inputs))
    return Made(job.spec, student, job.figures)
