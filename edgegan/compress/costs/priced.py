"""A budget of milliseconds or arm64 instructions: the start network priced by tables measured on the device.

Its narrower forms share one list of layers, so residual blocks stay whole under such a budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from edgegan.compress.costs.measured import device_predictor
from edgegan.compress.job import Job
from edgegan.compress.search.supernet import share
from edgegan.compress.search.widths import Genome, width_space
from edgegan.compress.slimming.start import Start
from edgegan.console import format_cost
from edgegan.errors import BudgetError, ConfigError
from edgegan.recipe.schema import COUNTED


def price(start: Start, job: Job) -> Start:
    """The start network with the cost of the recipe's budget; as it is where widths alone tell that cost.

    Raises BudgetError naming the smallest reachable cost, ConfigError when there is nothing to prune.
    """
    aim = job.recipe.budget.aim
    if aim is None or aim[0] in COUNTED:
        return start
    kind, budget = aim
    space = width_space(start.graph, type(start.spec), 0.0, job.recipe.slim.round_to)
    shared = share(start.module, start.graph, space, [])
    predictor = device_predictor(job, shared, kind, job.recipe.budget)

    @cache
    def of_genome(genome: Genome) -> float:
        return predictor.predict(predictor.layers_from(genome))

    def cost(widths: Mapping[str, int]) -> float:
        merged = {**start.table.full, **widths}
        return of_genome(tuple(merged[groups[0]] for groups in space.units.values()))

    full, least = of_genome(space.widest()), of_genome(space.narrowest())
    if budget < least:
        raise BudgetError(
            f"the budget of {format_cost(budget)} {kind} is below the narrowest network, {format_cost(least)} {kind}"
        )
    if budget > full:
        raise ConfigError(
            f"the start network costs {format_cost(full)} {kind}, less than the budget of {format_cost(budget)}: "
            "there is nothing to prune; lower the budget or set a larger student.scale"
        )
    return replace(start, budget_kind=kind, budget=budget, cost=cost)
