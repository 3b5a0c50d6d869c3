"""bench and report: artefacts are measured and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, choose, show, show_headline


def bench(
    source: Annotated[Path, typer.Argument(help="run, export folder or one artefact")],
    device: Annotated[str, typer.Option(help="where to measure: host")] = "host",
    threads: Annotated[int, typer.Option(min=1, help="threads of the runtime")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="time to spend on each artefact")] = 5.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder of records; default RUN/bench")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure latency, size and cost of teacher and student in one interleaved run."""
    choose("--device", [device], ("host",))
    from edgegan.benchmarks.host import bench as run_bench
    from edgegan.benchmarks.table import bench_table

    records = run_bench(source, output, threads, seconds)
    following = f"\nnext: edgegan report {source}" if (source / "run.json").is_file() else ""
    show(
        [record.model_dump(mode="json") for record in records],
        as_json,
        bench_table(records) + following,
    )


def report(
    run: Annotated[Path, typer.Argument(help="run folder, exported and benched")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file; default RUN/report.html")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with the headline figures, tables and before/after pictures."""
    from edgegan.benchmarks.report import report as run_report

    path, headline = run_report(run, output)
    show_headline(path, headline, as_json)
