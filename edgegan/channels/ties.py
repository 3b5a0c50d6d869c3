"""Which channel dimensions are tied: a union-find whose variables can also be split into parts
while tracing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edgegan.errors import ConfigError


@dataclass(eq=False)
class Variable:
    """An unknown number of channels, `size` in the traced network. `bound` is what it was found to
    consist of."""

    name: str
    size: int
    order: int
    fixed: bool = False
    bound: tuple[Part, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Part:
    """A run of `variable.size * repeat` entries; entry `channel * repeat + i` belongs to
    `channel`."""

    variable: Variable
    repeat: int = 1

    @property
    def total(self) -> int:
        """Entries of a dimension that this part covers."""
        return self.variable.size * self.repeat


Layout = tuple[Part, ...]


class Ties:
    """All variables of a trace, in the order their producers ran."""

    def __init__(self) -> None:
        self.variables: list[Variable] = []

    def new(self, name: str, size: int, fixed: bool = False) -> Layout:
        """A dimension of `size` channels that nothing is known about yet."""
        variable = Variable(name, size, len(self.variables), fixed)
        self.variables.append(variable)
        return (Part(variable),)

    def derive(self, parent: Variable, size: int, suffix: str = "") -> Variable:
        """A variable that replaces (a part of) `parent` and inherits its name, place and
        fixedness."""
        child = Variable(parent.name + suffix, size, parent.order, parent.fixed)
        self.variables.append(child)
        return child

    def bind(self, variable: Variable, layout: Layout) -> None:
        """States what an unbound variable consists of; the parts take over an earlier name and
        fixedness."""
        assert variable.bound is None and total(layout) == variable.size
        variable.bound = layout
        for part in layout:
            target = part.variable
            target.fixed = target.fixed or variable.fixed
            if len(layout) == 1 and variable.order < target.order:
                target.name, target.order = variable.name, variable.order

    def unify(self, left: Layout, right: Layout) -> None:
        """Ties two layouts of equal totals entry by entry; raises ConfigError where their repeats
        do not fit."""
        queue_left, queue_right = list(resolve(left)), list(resolve(right))
        if total(left) != total(right):
            raise ConfigError(f"{total(left)} channels meet {total(right)}")
        while queue_left:
            queue_left = list(resolve(tuple(queue_left)))
            queue_right = list(resolve(tuple(queue_right)))
            one, other = queue_left[0], queue_right[0]
            if one.total == other.total:
                self.unify_parts(one, other)
                queue_left.pop(0)
                queue_right.pop(0)
            elif one.total > other.total:
                self.split(one, other.total)
            else:
                self.split(other, one.total)

    def unify_parts(self, one: Part, other: Part) -> None:
        """Ties two parts that cover equally many entries."""
        if one.variable is other.variable:
            if one.repeat != other.repeat:
                raise ConfigError("one group meets itself with another repeat")
            return
        fine, coarse = (one, other) if one.repeat <= other.repeat else (other, one)
        if fine.repeat == coarse.repeat and fine.variable.order < coarse.variable.order:
            fine, coarse = coarse, fine
        if coarse.repeat % fine.repeat:
            raise ConfigError(f"repeats {one.repeat} and {other.repeat} do not divide each other")
        self.bind(fine.variable, (Part(coarse.variable, coarse.repeat // fine.repeat),))

    def split(self, part: Part, entries: int) -> None:
        """Cuts a part's variable in two so that the first covers `entries` entries of the
        dimension."""
        if entries % part.repeat:
            raise ConfigError(
                f"a boundary at entry {entries} cuts through a channel of {part.repeat} entries"
            )
        size = entries // part.repeat
        variable = part.variable
        first = self.derive(variable, size, ":0")
        second = self.derive(variable, variable.size - size, ":1")
        self.bind(variable, (Part(first), Part(second)))

    def divide(self, layout: Layout, factor: int) -> Layout:
        """The layout whose every entry stands for `factor` entries of this one; raises ConfigError
        if impossible."""
        result = []
        queue = list(layout)
        while queue:
            part, *rest = resolve(tuple(queue))
            queue = rest
            if part.repeat % factor == 0:
                result.append(Part(part.variable, part.repeat // factor))
                continue
            needed = factor // math.gcd(factor, part.repeat)
            variable = part.variable
            if variable.size % needed:
                raise ConfigError(f"{variable.size} channels do not fall into groups of {needed}")
            coarse = self.derive(variable, variable.size // needed)
            self.bind(variable, (Part(coarse, needed),))
            result.append(Part(coarse, part.repeat * needed // factor))
        return tuple(result)

    def chunk(self, layout: Layout, chunks: int) -> list[Layout]:
        """The layout in `chunks` equal runs, tied to one another so that equal runs stay equal
        after slicing."""
        size = total(layout)
        if size % chunks:
            raise ConfigError(f"{size} channels do not fall into {chunks} equal chunks")
        size //= chunks
        first = self.new("chunk", size)
        self.unify(layout, first * chunks)
        return [resolve(first)] * chunks


def resolve(layout: Layout) -> Layout:
    """The layout in unbound variables."""
    parts: list[Part] = []
    for part in layout:
        if part.variable.bound is None:
            parts.append(part)
        else:
            inner = resolve(part.variable.bound)
            parts += [Part(each.variable, each.repeat * part.repeat) for each in inner]
    return tuple(parts)


def times(layout: Layout, factor: int) -> Layout:
    """The layout with every entry repeated `factor` times in place."""
    return tuple(Part(part.variable, part.repeat * factor) for part in resolve(layout))


def total(layout: Layout) -> int:
    """Entries of the dimension."""
    return sum(part.total for part in layout)


def is_fixed(layout: Layout) -> bool:
    """Whether no channel of a layout can go."""
    return all(part.variable.fixed for part in resolve(layout))
