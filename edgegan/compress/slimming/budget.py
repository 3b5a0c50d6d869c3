"""A budget instead of a penalty to guess: how fast the cost falls, and which channels go.

The schedule lowers the allowed cost geometrically from that of the start network to the budget. The projection takes
away, again and again, the run of `round_to` channels that loses least score for the cost it saves, and at the end gives
back what still fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from edgegan.channels.graph import ChannelGraph
from edgegan.compress.slimming.cost import CostFunction
from edgegan.errors import ConfigError, TrainingError

TOLERANCE = 0.03
FILLED = 0.01


@dataclass(frozen=True)
class Bundle:
    """Groups that must have one width. `least` is the smallest width; 0 means that the branch may go."""

    groups: tuple[str, ...]
    size: int
    least: int


def allowed_cost(start: float, budget: float, done: float) -> float:
    """The cost allowed when a fraction `done` of the pruning is over: start at 0, budget at 1, geometric between."""
    return float(start * (budget / start) ** min(1.0, max(0.0, done)))


def make_bundles(
    graph: ChannelGraph, tied: Sequence[tuple[str, ...]], removable: set[str], round_to: int
) -> list[Bundle]:
    """The free groups, those of `tied` together."""
    member = {name: names for names in tied for name in names}
    bundles = {}
    for group in graph.free():
        names = member.get(group.name, (group.name,))
        least = 0 if set(names) <= removable else min(round_to, group.size)
        bundles[names] = Bundle(names, group.size, least)
    return list(bundles.values())


@dataclass
class Choice:
    """Channels of a bundle in the order in which they go, and how many stay."""

    bundle: Bundle
    order: dict[str, torch.Tensor]
    lost: torch.Tensor
    width: int

    def lower(self, round_to: int) -> int | None:
        """The next smaller width, or None."""
        below = (self.width - 1) // round_to * round_to
        below = below if below > 0 else self.bundle.least
        return below if self.bundle.least <= below < self.width else None

    def higher(self, round_to: int) -> int | None:
        """The next larger width, or None."""
        if self.width >= self.bundle.size:
            return None
        return min(self.bundle.size, (self.width // round_to + 1) * round_to)

    def score(self, width: int) -> float:
        """What is lost in all at this width."""
        return float(self.lost[self.bundle.size - width])


def rank(bundle: Bundle, scores: Mapping[str, torch.Tensor]) -> Choice:
    """Channels by their scores, the least first; groups of a bundle each in their own order."""
    order, sums = {}, torch.zeros(bundle.size, dtype=torch.float64)
    for name in bundle.groups:
        values, places = torch.sort(scores[name].double().cpu(), stable=True)
        order[name] = places
        sums += values.cumsum(0)
    return Choice(bundle, order, torch.cat([sums.new_zeros(1), sums]), bundle.size)


def project(
    bundles: Sequence[Bundle],
    scores: Mapping[str, torch.Tensor],
    cost: CostFunction,
    allowed: float,
    round_to: int,
) -> dict[str, torch.Tensor]:
    """For each group the channels that stay (sorted), so that the cost is at most `allowed` and close to it.

    Raises ConfigError when even the narrowest network costs more.
    """
    choices = [rank(bundle, scores) for bundle in bundles]
    while cost(widths(choices)) > allowed:
        step = best_cut(choices, cost, round_to)
        if step is None:
            raise ConfigError(
                f"the budget of {allowed:,.0f} is below the narrowest network "
                f"({cost(widths(choices)):,.0f}); raise it or start from another student.block"
            )
        step[0].width = step[1]
    fill(choices, cost, allowed, round_to)
    while cost(widths(choices)) < (1 - FILLED) * allowed and exchange(
        choices, cost, allowed, round_to
    ):
        fill(choices, cost, allowed, round_to)
    return {
        name: torch.sort(places[choice.bundle.size - choice.width :]).values
        for choice in choices
        for name, places in choice.order.items()
    }


def widths(choices: Sequence[Choice]) -> dict[str, int]:
    """Widths of every group."""
    return {name: choice.width for choice in choices for name in choice.bundle.groups}


def best_cut(
    choices: Sequence[Choice], cost: CostFunction, round_to: int
) -> tuple[Choice, int] | None:
    """The cut that loses least score for each unit of cost it saves."""
    current = widths(choices)
    now, found, least = cost(current), None, float("inf")
    for choice in choices:
        below = choice.lower(round_to)
        if below is None:
            continue
        saved = now - cost({**current, **dict.fromkeys(choice.bundle.groups, below)})
        price = (choice.score(below) - choice.score(choice.width)) / max(saved, 1e-9)
        if price < least:
            found, least = (choice, below), price
    return found


def fill(choices: Sequence[Choice], cost: CostFunction, allowed: float, round_to: int) -> None:
    """Gives back what fits."""
    while (back := best_return(choices, cost, allowed, round_to)) is not None:
        back[0].width = back[1]


def exchange(choices: Sequence[Choice], cost: CostFunction, allowed: float, round_to: int) -> bool:
    """One run of channels for another where that comes closest to the allowed cost; False when none comes closer."""
    current = widths(choices)
    best, found = cost(current), None
    for less in choices:
        below = less.lower(round_to)
        for more in choices:
            above = more.higher(round_to)
            if less is more or below is None or above is None:
                continue
            plan = {**current, **dict.fromkeys(less.bundle.groups, below)}
            total = cost({**plan, **dict.fromkeys(more.bundle.groups, above)})
            if best < total <= allowed:
                best, found = total, (less, below, more, above)
    if found is None:
        return False
    found[0].width, found[2].width = found[1], found[3]
    return True


def best_return(
    choices: Sequence[Choice], cost: CostFunction, allowed: float, round_to: int
) -> tuple[Choice, int] | None:
    """The run of channels worth most for its cost that still fits."""
    current = widths(choices)
    now, found, most = cost(current), None, -1.0
    for choice in choices:
        above = choice.higher(round_to)
        if above is None:
            continue
        total = cost({**current, **dict.fromkeys(choice.bundle.groups, above)})
        if total > allowed:
            continue
        worth = (choice.score(choice.width) - choice.score(above)) / max(total - now, 1e-9)
        if worth > most:
            found, most = (choice, above), worth
    return found


def check_met(name: str, spent: float, budget: float, round_to: int) -> None:
    """Raises TrainingError unless the cost is within 3 % of the budget."""
    if abs(spent - budget) > TOLERANCE * budget:
        raise TrainingError(
            f"the student costs {spent:,.0f} {name}, {spent / budget - 1:+.1%} from the budget of {budget:,.0f}; "
            f"widths in multiples of {round_to} come no closer: lower slim.round_to"
        )
