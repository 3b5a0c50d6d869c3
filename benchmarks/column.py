"""A column of a table: its name and what its cell says of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """`text` is empty where a row has nothing to say; `report` puts a column of bench's table in the report too."""

    name: str
    text: Callable[[Row], str]
    report: bool = False


def fill(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headers, and the cells of every row."""
    names = [column.name for column in columns]
    return names, [[column.text(row) for column in columns] for row in rows]
