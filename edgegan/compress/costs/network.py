"""What a network costs at any widths, by kind: counted from its layers, or read from tables measured on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from edgegan.compress.costs.counted import LayerTable
from edgegan.errors import BudgetError
from edgegan.recipe.cost import CostFunction, Widths
from edgegan.recipe.kinds import COSTS

NARROWER = "raise the budget, or lower supernet.smallest or student.scale"


@dataclass(frozen=True)
class NetworkCosts:
    """The costs of a network by the widths of its channel groups; groups that are not given are as wide as in `table`.

    `measured` holds a function for each kind that `edgegan.compress.costs.measured` has made tables for.
    """

    table: LayerTable
    measured: Mapping[str, CostFunction] = field(default_factory=dict)

    @cached_property
    def functions(self) -> dict[str, CostFunction]:
        """The cost by widths of each kind that is known, in the order of `COSTS`."""
        found = {
            kind: self.measured.get(kind) if cost.count is None else cost.count(self.table)
            for kind, cost in COSTS.items()
        }
        return {kind: function for kind, function in found.items() if function is not None}

    def at(self, widths: Widths) -> dict[str, float]:
        """Every known cost."""
        return {kind: function(widths) for kind, function in self.functions.items()}

    def with_measured(self, measured: Mapping[str, CostFunction]) -> NetworkCosts:
        """The same with kinds that tables tell."""
        return replace(self, measured=measured)


def check_reachable(
    least: Mapping[str, float],
    limits: Mapping[str, float],
    narrowest: str = "sub-network",
    advice: str = NARROWER,
) -> None:
    """Raises BudgetError naming the smallest reachable cost; costs rise with every width, so the narrowest network's
    (`least`) tell. Budgets of kinds that it does not hold are passed over."""
    for kind, limit in limits.items():
        if least.get(kind, 0.0) > limit:
            raise BudgetError(
                f"budget {kind} {limit:,.6g} cannot be reached: the narrowest {narrowest} costs {least[kind]:,.6g}; "
                f"{advice}"
            )


def within(costs: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether every budget holds whose kind is known."""
    return all(costs[kind] <= limit for kind, limit in limits.items() if kind in costs)
