"""The widths a search may choose: channel groups that vary together, and their choices."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgegan.channels.groups import ChannelGraph
from edgegan.channels.space import Widths, multiples, width_choices
from edgegan.errors import ConfigError
from edgegan.models.spec import Spec
from edgegan.recipe.search_section import Supernet

Genome = tuple[int, ...]


@dataclass(frozen=True)
class WidthSpace:
    """Units of channel groups with one number each; a genome holds one choice for every unit, in order.

    A group's width is its unit's number times its factor, which is 1 but where units are those of a published config.
    """

    units: dict[str, tuple[str, ...]]
    choices: dict[str, tuple[int, ...]]
    factors: Mapping[str, int] = field(default_factory=dict)

    def plan(self, genome: Genome) -> Widths:
        """The width of every free group."""
        return {
            group: number * self.factors.get(group, 1)
            for groups, number in zip(self.units.values(), genome, strict=True)
            for group in groups
        }

    def genome(self, widths: Mapping[str, int]) -> Genome:
        """The genome of a plan: that of the first group of every unit, the widest where none is given."""
        return tuple(
            widths[groups[0]] // self.factors.get(groups[0], 1)
            if groups[0] in widths
            else max(self.choices[unit])
            for unit, groups in self.units.items()
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
        """Its numbers in order, joined by underscores: a published config where units are those."""
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


def searched_space(graph: ChannelGraph, spec: type[Spec], settings: Supernet) -> WidthSpace:
    """The space of a recipe's supernet; raises ConfigError."""
    if settings.tied == "none":
        return width_space(graph, spec, settings.smallest, settings.round_to)
    return published_space(graph, spec, settings.smallest, settings.round_to, settings.choices)


def published_space(
    graph: ChannelGraph,
    spec: type[Spec],
    smallest: float,
    round_to: int,
    choices: Sequence[Sequence[int]] = (),
) -> WidthSpace:
    """The space of the family's published configs (Li et al. 2020): one unit for every number, with these choices or
    the multiples of `round_to` from `smallest` of the widest up.

    Raises ConfigError for a family without configs, widths that are not of their form, and choices that do not fit.
    """
    places = {group.name: spec.config_place(group.name) for group in graph.free()}
    count = 1 + max(number for number, _ in places.values())
    sizes = {group.name: group.size for group in graph.free()}
    units: dict[str, tuple[str, ...]] = {}
    found: dict[str, tuple[int, ...]] = {}
    for number in range(count):
        groups = tuple(name for name, place in places.items() if place[0] == number)
        tops = {divmod(sizes[name], places[name][1]) for name in groups}
        if len(tops) != 1 or next(iter(tops))[1]:
            raise ConfigError(
                f"supernet.tied published: no number of a published config gives {spec.__name__} these widths of "
                f"{', '.join(groups) or f'number {number}'}; take a teacher of the published shape and a student.scale "
                "and student.round_to that keep it"
            )
        top = next(iter(tops))[0]
        units[groups[0]] = groups
        found[groups[0]] = tuple(choices[number]) if choices else multiples(top, smallest, round_to)
        if choices and (len(choices) != count or max(found[groups[0]]) > top):
            raise ConfigError(
                f"supernet.choices: {count} rows are needed, and number {number} is at most {top} here"
            )
    return WidthSpace(units, found, {name: factor for name, (_, factor) in places.items()})
