"""The columns of the report's tables, one line each: HTML, Markdown and the table of several runs all show these."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgegan.benchmarks.column import Column
from edgegan.benchmarks.record import BenchRecord
from edgegan.benchmarks.reporting.facts import Artefact, FrontRow, SearchFacts
from edgegan.benchmarks.reporting.headline import macs
from edgegan.benchmarks.table import COLUMNS as BENCH_COLUMNS
from edgegan.benchmarks.table import Measured

EQUAL_DB = 200.0  # stands for "no difference"


@dataclass(frozen=True)
class ArtefactColumn:
    """What the table of artefacts says of one.

    `text` is given model.json's values, or the measured record where `measured`; it is empty where there is nothing to
    say. `note` is more of the cell for who asks for it. `several` makes rows of the table of several runs: one for each
    role, for each artefact of the student, or for its int8 ones.
    """

    name: str
    text: Callable[[Any], str]
    measured: bool = False
    note: Callable[[dict[str, Any]], str] | None = None
    wide: bool = False
    page: bool = True
    markdown: bool = True
    several: Literal["", "role", "student", "student int8"] = ""

    def cell(self, artefact: Artefact) -> str:
        """What it says of an artefact; empty where that was not measured."""
        if not self.measured:
            return self.text(artefact.model)
        return self.text(artefact.record) if artefact.record is not None else ""

    def row(self, model: dict[str, Any]) -> str | None:
        """The name of an artefact's row in the table of several runs; None where it has none."""
        if self.several == "role":
            return f"{model['role']} {self.name}"
        listed = self.several.split()
        if model["role"] not in listed or (len(listed) > 1 and model["precision"] not in listed):
            return None
        return f"{model['file']}, {self.name}"


def parity(model: dict[str, Any]) -> str:
    """PSNR of the conversion."""
    value = model["parity"]["psnr_db"]
    return "equal" if value >= EQUAL_DB else f"{value:.1f} dB"


def fidelity(model: dict[str, Any]) -> str:
    """PSNR to the teacher on validation pictures."""
    value = model["psnr_to_teacher_db"]
    return f"{value:.2f} dB" if value is not None else ""


def computed_in(model: dict[str, Any]) -> str:
    """How many operations compute in what."""
    counts = model["computed_in"].items()
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts if count)


def from_bench(column: Column[Measured]) -> ArtefactColumn:
    """A column of bench's table, which Markdown leaves to the section of latencies."""

    def text(record: BenchRecord) -> str:
        return column.text(Measured(record))

    return ArtefactColumn(column.name, text, measured=True, markdown=False)


COLUMNS: tuple[ArtefactColumn, ...] = (
    ArtefactColumn("artefact", lambda model: model["file"]),
    ArtefactColumn("MACs", lambda model: macs(model["macs"]), several="role"),
    ArtefactColumn("parameters", lambda model: f"{model['parameters']:,}", several="role"),
    ArtefactColumn("MB", lambda model: f"{model['bytes'] / 1e6:.2f}", several="student"),
    ArtefactColumn("kind", lambda model: model["quantization"], page=False),
    *(from_bench(column) for column in BENCH_COLUMNS if column.report),
    ArtefactColumn(
        "PSNR to PyTorch", parity, note=lambda model: f"gate: {model['parity']['gate']}"
    ),
    ArtefactColumn("PSNR to teacher", fidelity, several="student int8"),
    ArtefactColumn("computes in", computed_in, wide=True, markdown=False),
)


def front_columns(search: SearchFacts) -> list[Column[FrontRow]]:
    """Those of a search's front."""
    return [
        Column("widths", lambda row: row.widths),
        Column(search.unit, lambda row: f"{row.cost:,.2f}"),
        Column("parameters", lambda row: f"{row.parameters:,.0f}"),
        Column(search.fitness, lambda row: f"{row.fitness:.3f}"),
        Column("", lambda row: "chosen" if row.chosen else ""),
    ]


STAGE_COLUMNS: tuple[Column[tuple[str, dict[str, Any]]], ...] = (
    Column("stage", lambda row: row[0]),
    Column("seconds", lambda row: str(row[1]["duration_s"])),
    Column("finished", lambda row: str(row[1]["finished"])),
)


@dataclass(frozen=True)
class Cell:
    """A cell of the page's table of artefacts; `span` is how many columns it covers."""

    text: str
    note: str = ""
    wide: bool = False
    span: int = 1


def page_columns() -> list[ArtefactColumn]:
    """The columns of the page's table of artefacts."""
    return [column for column in COLUMNS if column.page]


def page_cells(artefact: Artefact) -> list[Cell]:
    """An artefact's cells in the page; where it was not measured one cell says so for columns side by side."""
    cells: list[Cell] = []
    for measured, group in itertools.groupby(page_columns(), key=lambda column: column.measured):
        columns = list(group)
        if measured and artefact.record is None:
            cells.append(Cell("not measured", span=len(columns)))
            continue
        for column in columns:
            note = column.note(artefact.model) if column.note else ""
            cells.append(Cell(column.cell(artefact), note, column.wide))
    return cells


def markdown_rows(artefacts: Sequence[Artefact]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of the table of artefacts in Markdown, notes in brackets."""
    columns = [column for column in COLUMNS if column.markdown]

    def cell(column: ArtefactColumn, artefact: Artefact) -> str:
        text = column.cell(artefact)
        return f"{text} ({column.note(artefact.model)})" if column.note else text

    rows = [[cell(column, each) for column in columns] for each in artefacts]
    return [column.name for column in columns], rows


def several_rows(artefacts: Sequence[Artefact]) -> dict[str, str]:
    """One run's rows in the table of several runs; of a role those of its first artefact."""
    found: dict[str, str] = {}
    for artefact in artefacts:
        for column in COLUMNS:
            name = column.row(artefact.model) if column.several else None
            text = column.cell(artefact) if name else ""
            if name and text:
                found.setdefault(name, text)
    return found
