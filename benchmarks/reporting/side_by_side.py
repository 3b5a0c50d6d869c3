"""Several runs side by side: a row a figure, a column a run. Kinds of records and protocols keep tables apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord, PredictedRecord
from edgegan.benchmarks.reporting.columns import several_rows
from edgegan.benchmarks.reporting.facts import RunFacts
from edgegan.benchmarks.reporting.latency import TITLES, make_bar


@dataclass(frozen=True)
class Table:
    """A table whose first column names the figure; a cell is empty where a run lacks it."""

    title: str
    about: str
    headers: list[str]
    rows: list[list[str]]


def compare_runs(runs: Sequence[RunFacts]) -> list[Table]:
    """All tables that have a row; none for a single run."""
    if len(runs) < 2:
        return []
    labels = [run.label for run in runs]
    tables = [
        Table("What they are", "", ["", *labels], model_rows(runs)),
        Table(
            "Headlines",
            "Each run against its own teacher.",
            ["", *labels],
            by_key([{h.label: h.value for h in run.headline} for run in runs]),
        ),
    ]
    for kind, title in TITLES.items():
        cells = [{record_key(r): cell(r) for r in run.records if r.kind == kind} for run in runs]
        about = "Median with its 95 % interval." if kind == "measured" else ""
        tables.append(Table(title, about, ["", *labels], by_key(cells)))
    tables.append(
        Table(
            "Quality by edgegan evaluate",
            "A row holds figures of one protocol; the runs' own sections print it.",
            ["", *labels],
            by_key([figure_cells(run) for run in runs]),
        )
    )
    return [table for table in tables if table.rows]


def model_rows(runs: Sequence[RunFacts]) -> list[list[str]]:
    """Recipe, cost, size and fidelity of each run's student."""
    columns: list[dict[str, str]] = []
    for run in runs:
        values = {"recipe": run.name, "method": str(run.recipe.get("method", "distill"))}
        values |= several_rows(run.artefacts)
        values["student PSNR to teacher, fp32"] = f"{run.quality['psnr_to_teacher_db']:.2f} dB"
        values["student SSIM to teacher, fp32"] = f"{run.quality['ssim_to_teacher']:.3f}"
        seconds = sum(entry["duration_s"] or 0 for entry in run.stages.values())
        values["compressing took"] = f"{seconds:.0f} s"
        values["warnings"] = str(len(run.warnings))
        columns.append(values)
    return by_key(columns)


def by_key(columns: Sequence[dict[str, str]]) -> list[list[str]]:
    """Rows of all keys in the order they first appear."""
    keys = dict.fromkeys(key for column in columns for key in column)
    return [[key, *(column.get(key, "") for column in columns)] for key in keys]


def record_key(record: AnyRecord) -> str:
    """What two records must share to stand in one row."""
    size = f"{record.size[0]}x{record.size[1]}"
    if isinstance(record, CountRecord):
        return f"{record.artefact}, {size}, {record.core}"
    if isinstance(record, PredictedRecord):
        return f"{record.artefact}, {size}, {record.device}, by {record.predictor}"
    processor = record.device_state.get("processor") or record.environment.get("processor", "")
    threads = f"{record.threads} thread{'s' if record.threads > 1 else ''}"
    return f"{record.artefact}, {size}, {record.device} ({processor}), {threads}, {record.runtime}"


def cell(record: AnyRecord) -> str:
    """A record's figure in a few characters."""
    bar = make_bar(record)
    shaky = isinstance(record, BenchRecord) and record.verdict != "STABLE"
    return f"{bar.text} {record.verdict}" if shaky and isinstance(record, BenchRecord) else bar.text


def figure_cells(run: RunFacts) -> dict[str, str]:
    """Evaluated figures by subject, name and protocol."""
    found = {}
    for evaluation in run.evaluations:
        for figure in evaluation.figures:
            about = figure.protocol
            network = f", {about.network}" if about.network else ""
            key = (
                f"{evaluation.subject}: {figure.name} ({about.metric}{network}, {about.count} pictures, "
                f"resize {about.resize}, {about.split}, against {about.reference})"
            )
            found[key] = figure.text()
    return found
