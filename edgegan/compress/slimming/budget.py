"""A budget instead of a penalty to guess: how fast the cost falls, and which channels go.

The schedule lowers the allowed cost geometrically from that of the start network to the budget. The projection takes
away, again and again, the run of `round_to` channels that loses least score for the cost it saves, and at the end gives
back what still fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from edgegan.channels.groups import ChannelGraph
from edgegan.console import format_cost
from edgegan.errors import ConfigError, TrainingError
from edgegan.recipe.cost import CostFunction

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
    *,
    closely: bool = True,
) -> dict[str, torch.Tensor]:
    """For each group the channels that stay (sorted), so that the cost is at most `allowed` and close to it;
    `closely`: also by exchanging coarse runs for finer ones, as the last cut needs.

    Raises ConfigError when even the narrowest network costs more.
    """
    choices = [rank(bundle, scores) for bundle in bundles]
    while cost(widths(choices)) > allowed:
        step = best_cut(choices, cost, round_to)
        if step is None:
            raise ConfigError(
                f"the budget of {format_cost(allowed)} is below the narrowest network "
                f"({format_cost(cost(widths(choices)))}); raise it or start from another student.block"
            )
        step[0].width = step[1]
    fill(choices, cost, allowed, round_to)
    while closely and cost(widths(choices)) < (1 - FILLED) * allowed:
        if not exchange(choices, cost, allowed, round_to):
            break
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


def exchange(choices: list[Choice], cost: CostFunction, allowed: float, round_to: int) -> bool:
    """Gives back one run that does not fit and pays for it with cheaper ones, where that comes closest to the allowed
    cost; False when nothing comes closer."""
    best, found = cost(widths(choices)), None
    for index, more in enumerate(choices):
        above = more.higher(round_to)
        if above is None:
            continue
        trial = [dataclasses.replace(each) for each in choices]
        trial[index].width = above
        others = [each for place, each in enumerate(trial) if place != index]

        def total(plan: Mapping[str, int], mine: Choice = trial[index]) -> float:
            return cost({**plan, **dict.fromkeys(mine.bundle.groups, mine.width)})

        while total(widths(others)) > allowed and (step := best_cut(others, total, round_to)):
            step[0].width = step[1]
        if total(widths(others)) <= allowed:
            fill(others, total, allowed, round_to)
            spent = total(widths(others))
            if spent > best:
                best, found = spent, trial
    if found is not None:
        choices[:] = found
    return found is not None


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
            f"the student costs {format_cost(spent)} {name}, {spent / budget - 1:+.1%} from the budget of "
            f"{format_cost(budget)}; widths in multiples of {round_to} come no closer: lower slim.round_to"
        )
