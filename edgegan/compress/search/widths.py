"""The widths a search may choose: channel groups that vary together, and their choices."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from edgegan.channels.groups import ChannelGraph
from edgegan.channels.space import Widths, width_choices
from edgegan.models.spec import Spec

Genome = tuple[int, ...]


@dataclass(frozen=True)
class WidthSpace:
    """Units of channel groups with one width each; a genome holds one choice for every unit, in order."""

    units: dict[str, tuple[str, ...]]
    choices: dict[str, tuple[int, ...]]

    def plan(self, genome: Genome) -> Widths:
        """The width of every free group."""
        return {
            group: width
            for groups, width in zip(self.units.values(), genome, strict=True)
            for group in groups
        }

    def genome(self, widths: Mapping[str, int]) -> Genome:
        """The genome of a plan: the width of the first group of every unit, the widest where none is given."""
        return tuple(
            widths.get(groups[0], max(self.choices[unit])) for unit, groups in self.units.items()
        )

    def size(self) -> int:
        """How many genomes there are."""
        return math.prod(map(len, self.choices.values()))

    def widest(self) -> Genome:
        """Every unit at its widest."""
        return tuple(max(each) for each in self.choices.values())

    def narrowest(self) -> Genome:
        """Every unit at its narrowest."""
        return tuple(min(each) for each in self.choices.values())

    def draw(self, generator: random.Random) -> Genome:
        """One choice for every unit, uniform and independent."""
        return tuple(generator.choice(each) for each in self.choices.values())

    def uniform(self, fraction: float) -> Genome:
        """Every unit at the choice nearest to this part of its widest: what scaling by hand would give."""
        return tuple(
            min(each, key=lambda width, top=max(each): (abs(width - fraction * top), width))  # type: ignore[misc]
            for each in self.choices.values()
        )

    def describe(self, genome: Genome) -> str:
        """Widths in order, joined by underscores."""
        return "_".join(map(str, genome))


def width_space(
    graph: ChannelGraph, spec: type[Spec] | None, smallest: float, round_to: int
) -> WidthSpace:
    """Every free group from `smallest` of its width up; groups that the spec gives one number are one unit.

    Without a spec every group is a unit of its own. Raises ConfigError for a group that the spec has no width for.
    """
    choices = width_choices(graph, smallest, round_to)
    units: dict[str, tuple[str, ...]] = {}
    owner: dict[tuple[str, int | None], str] = {}
    for group in choices:
        place = spec.place_of(group) if spec is not None else (group, None)
        unit = owner.setdefault(place, group)
        units[unit] = (*units.get(unit, ()), group)
    return WidthSpace(units, {unit: choices[unit] for unit in units})
