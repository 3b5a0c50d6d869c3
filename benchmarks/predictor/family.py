"""What varies in a family: from a few artefacts, which sizes follow which widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgegan.benchmarks.predictor.layers import Part, split
from edgegan.errors import InputError
from edgegan.files import sha256_json

MAX_VARIABLES = 3


@dataclass(frozen=True)
class Layer:
    """One layer of a candidate: which table, and at which widths."""

    table: str
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Pattern:
    """Which numbers of a part are fixed and which are a variable times a ratio.

    `columns` holds for each number (-1, value, 1), fixed, or (variable, numerator, denominator).
    """

    signature: str
    columns: tuple[tuple[int, int, int], ...]
    variables: int

    def key(self) -> str:
        """The table's name."""
        return sha256_json([self.signature, self.columns])[:16]

    def numbers(self, widths: Sequence[int]) -> tuple[int, ...]:
        """The part's numbers at these widths."""
        return tuple(
            a if variable < 0 else widths[variable] * a // b for variable, a, b in self.columns
        )

    def widths_of(self, numbers: Sequence[int]) -> tuple[int, ...] | None:
        """The widths at which the part has these numbers, or None when it is another part."""
        widths: dict[int, int] = {}
        for (variable, a, b), number in zip(self.columns, numbers, strict=True):
            if variable >= 0:
                widths.setdefault(variable, number * b // a)
        found = tuple(widths[index] for index in range(self.variables))
        return found if self.numbers(found) == tuple(numbers) else None


@dataclass(frozen=True)
class Slot:
    """One place of the family's network: its pattern, the width rule of each variable, and the widths seen.

    A rule (index, numerator, denominator) takes a candidate's width number `index` times a ratio; None where the
    samples show none.
    """

    pattern: Pattern
    rules: tuple[tuple[int, int, int] | None, ...]
    seen: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Family:
    """The places of a network in order, and one example part for each table."""

    slots: tuple[Slot, ...]
    examples: dict[str, Part]


def learn_family(paths: Sequence[Path], widths: Sequence[Sequence[int]]) -> Family:
    """Finds the places and their rules from samples whose widths were drawn at random.

    Raises InputError when samples have different operators, or when a part follows more than three widths.
    """
    samples = [split(path) for path in paths]
    shapes = [[part.signature for part in parts] for parts in samples]
    for path, shape in zip(paths, shapes, strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"{path} has other operators than {paths[0]}; a predictor covers one family at one input size"
            )
    drawn = np.array(widths, dtype=np.int64)
    slots: list[Slot] = []
    examples: dict[str, Part] = {}
    for place in range(len(shapes[0])):
        parts = [parts[place] for parts in samples]
        slot = learn_slot(parts, drawn, f"part {place} of {paths[0].name}")
        slots.append(slot)
        examples.setdefault(slot.pattern.key(), parts[0])
    return Family(tuple(slots), examples)


def learn_slot(parts: Sequence[Part], drawn: np.ndarray, name: str) -> Slot:
    """The pattern of one place: numbers that vary in proportion belong to one variable."""
    table = np.array([part.numbers for part in parts], dtype=np.int64)
    variables: list[np.ndarray] = []
    columns = []
    for column in table.T:
        if (column == column[0]).all():
            columns.append((-1, int(column[0]), 1))
            continue
        for index, variable in enumerate(variables):
            if (column * variable[0] == variable * column[0]).all():
                ratio = Fraction(int(column[0]), int(variable[0]))
                columns.append((index, ratio.numerator, ratio.denominator))
                break
        else:
            columns.append((len(variables), 1, 1))
            variables.append(column)
    if len(variables) > MAX_VARIABLES:
        raise InputError(
            f"{name} follows {len(variables)} widths at once; tables of more than {MAX_VARIABLES} are not built"
        )
    pattern = Pattern(parts[0].signature, tuple(columns), len(variables))
    rules = tuple(width_rule(variable, drawn) for variable in variables)
    seen = tuple(tuple(int(v[row]) for v in variables) for row in range(len(parts)))
    return Slot(pattern, rules, seen)


def width_rule(variable: np.ndarray, drawn: np.ndarray) -> tuple[int, int, int] | None:
    """The candidate's width that a variable follows, with the ratio, or None."""
    for index, column in enumerate(drawn.T):
        if (variable * column[0] == column * variable[0]).all():
            ratio = Fraction(int(variable[0]), int(column[0]))
            return index, ratio.numerator, ratio.denominator
    return None
