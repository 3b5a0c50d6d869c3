"""What a recipe may ask for: the methods of `edgegan compress`, and the costs that a budget can limit.

A line of `every_cost` is a kind of cost: its budget, its option, its place in the search, in slimming, in the front and
in the report follow from it.
"""

from __future__ import annotations

from typing import Literal

from edgegan.recipe import every_cost
from edgegan.recipe.cost import Cost

Method = Literal["distill", "gan-compression", "gan-slimming"]

COSTS: dict[str, Cost] = {
    kind: each for kind, each in vars(every_cost).items() if isinstance(each, Cost)
}


def is_counted(kind: str | None) -> bool:
    """Whether widths alone tell this cost."""
    return kind is not None and COSTS[kind].count is not None


def flag(kind: str) -> str:
    """The option of `edgegan compress` that sets a budget."""
    return f"--budget-{kind}"


def flags() -> str:
    """All of them, in words."""
    *first, last = map(flag, COSTS)
    return f"{', '.join(first)} or {last}"
