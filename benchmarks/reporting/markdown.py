"""report.md: the report's figures as Markdown, for a pull request or a terminal; pictures stay in the HTML."""

from __future__ import annotations

from collections.abc import Sequence

from edgegan.benchmarks.column import fill
from edgegan.benchmarks.reporting.columns import STAGE_COLUMNS, front_columns, markdown_rows
from edgegan.benchmarks.reporting.facts import Evaluation, RunFacts, SearchFacts
from edgegan.benchmarks.reporting.latency import BarGroup
from edgegan.benchmarks.reporting.side_by_side import Table
from edgegan.streams import printable

SPECIAL = "\\`*_[]|#"


def render_markdown(runs: Sequence[RunFacts], tables: Sequence[Table], written: str) -> str:
    """The whole file."""
    parts = [f"# {escape(' and '.join(run.label for run in runs))}"]
    for table in tables:
        parts += [f"## {escape(table.title)}", escape(table.about)]
        parts.append(grid(table.headers, table.rows))
    for run in runs:
        parts += run_section(run, alone=len(runs) == 1)
    parts.append(f"Written {escape(written)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def run_section(run: RunFacts, *, alone: bool) -> list[str]:
    """One run."""
    parts = [] if alone else [f"## {escape(run.label)}"]
    parts.append(escape(run.description))
    parts.append(
        "\n".join(
            f"- **{escape(item.value)}** {escape(item.label)}: {escape(item.detail)}"
            for item in run.headline
        )
    )
    if run.warnings:
        parts.append("\n".join(f"> Warning: {escape(text)}  " for text in run.warnings))
    parts += ["### Artefacts", grid(*markdown_rows(run.artefacts))]
    for group in run.latency:
        parts += latency_section(group)
    for evaluation in run.evaluations:
        parts += evaluation_section(evaluation)
    if run.search is not None:
        parts += search_section(run.search)
    rows = [
        [
            plot.stage,
            line.label,
            plot.title,
            f"{line.first:.4g}",
            f"{line.last:.4g}",
            str(plot.steps),
        ]
        for plot in [*run.training, *([run.budget] if run.budget else [])]
        for line in plot.lines
    ]
    if rows:
        headers = ["stage", "curve", "figure", "first", "last", "steps"]
        parts += ["### Training", grid(headers, rows)]
    parts += ["### How it was made", code(run.commands)]
    parts.append(grid(*fill(STAGE_COLUMNS, list(run.stages.items()))))
    parts.append(escape(environment_line(run)))
    return parts


def latency_section(group: BarGroup) -> list[str]:
    """One group of comparable records."""
    rows = [[bar.label, bar.precision, bar.text, bar.note] for bar in group.bars]
    return [
        f"### {escape(group.title)}: {escape(group.device)}",
        escape(group.about),
        grid(["artefact", "precision", group.unit, "runtime"], rows),
    ]


def evaluation_section(evaluation: Evaluation) -> list[str]:
    """Figures with their protocols."""
    rows = [[each.name, each.text(), each.protocol.line()] for each in evaluation.figures]
    return [
        f"### Quality: {escape(evaluation.subject)} against {escape(evaluation.against)}",
        grid(["figure", "value (95 % interval)", "protocol"], rows),
        "\n".join(f"- {escape(note)}" for note in evaluation.notes),
    ]


def search_section(search: SearchFacts) -> list[str]:
    """The Pareto front."""
    return [
        "### Search",
        escape(f"{search.candidates} candidates; {search.why}."),
        grid(*fill(front_columns(search), search.rows)),
    ]


def environment_line(run: RunFacts) -> str:
    """Where it was compressed."""
    about = run.environment
    versions = ", ".join(f"{name} {version}" for name, version in about.get("versions", {}).items())
    return (
        f"Compressed on {about.get('processor')}, {about.get('cores')} cores, {about.get('system')}, "
        f"Python {about.get('python')}, edgegan {about.get('edgegan')}; {versions}."
    )


def grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its first column left and the others right aligned."""
    lines = [
        "| " + " | ".join(map(escape, headers)) + " |",
        "|" + " --- |" + " ---: |" * (len(headers) - 1),
    ]
    lines += ["| " + " | ".join(map(escape, row)) + " |" for row in rows]
    return "\n".join(lines)


def code(lines: Sequence[str]) -> str:
    """Commands as an indented block, which nothing in them can end."""
    return "\n".join("    " + printable(" ".join(line.split("\n"))) for line in lines)


def escape(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    flat = printable(" ".join(str(text).split())).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in flat)
