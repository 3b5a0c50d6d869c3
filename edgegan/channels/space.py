"""Which widths a search may choose, by channel group."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from edgegan.channels.groups import ChannelGraph

Space = dict[str, tuple[int, ...]]
Widths = dict[str, int]


def width_choices(graph: ChannelGraph, smallest: float = 0.25, round_to: int = 8) -> Space:
    """For each free group the multiples of `round_to` from `smallest` of its width up, and the
    width itself."""
    return {group.name: multiples(group.size, smallest, round_to) for group in graph.free()}


def multiples(top: int, smallest: float, round_to: int) -> tuple[int, ...]:
    """The multiples of `round_to` from `smallest` of a number up, and the number itself."""
    low = max(1, math.ceil(top * smallest / round_to))
    return (*range(low * round_to, top, round_to), top)


def count_plans(space: Space) -> int:
    """How many plans a space holds."""
    return math.prod(len(choices) for choices in space.values())


def largest(space: Space) -> Widths:
    """Every group at its widest."""
    return {name: max(choices) for name, choices in space.items()}


def smallest(space: Space) -> Widths:
    """Every group at its narrowest."""
    return {name: min(choices) for name, choices in space.items()}


def random_plan(space: Space, seed: int) -> Widths:
    """One choice for every group, uniform and independent; the same for the same seed."""
    generator = random.Random(seed)
    return {name: generator.choice(choices) for name, choices in space.items()}


def random_config(choices: Sequence[Sequence[int]], seed: int) -> str:
    """A GAN Compression config string with one choice at each place."""
    generator = random.Random(seed)
    return "_".join(str(generator.choice(each)) for each in choices)
