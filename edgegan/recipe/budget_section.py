"""What one image may cost: a key for every cost there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from edgegan.recipe.kinds import COSTS
from edgegan.recipe.section import Section


class Limits(Section):
    """What one image may cost, whatever the method; every budget that is set holds (gan-slimming takes one)."""

    def limits(self) -> dict[str, float]:
        """The budgets that are set, by cost."""
        return {kind: value for kind in COSTS if (value := getattr(self, kind)) is not None}

    def place(self, kind: str) -> str:
        """Where a cost is measured; empty for one that is counted."""
        place = COSTS[kind].place
        return "" if place is None else str(getattr(self, place.field))

    @property
    def aim(self) -> tuple[str, float] | None:
        """The first budget that is set, with its kind."""
        return next(iter(self.limits().items()), None)


def budget_fields() -> dict[str, Any]:
    """A field for every cost, and for the place of each that is measured."""
    fields: dict[str, Any] = {}
    for kind, cost in COSTS.items():
        fields[kind] = (float | None, Field(None, gt=0, le=1e18, description=cost.description))
        if cost.place is not None:
            told = Field(cost.place.default, description=cost.place.description)
            fields[cost.place.field] = (str, told)
    return fields


if TYPE_CHECKING:
    Budget = Limits
else:
    Budget = create_model("Budget", __base__=Limits, __doc__=Limits.__doc__, **budget_fields())
