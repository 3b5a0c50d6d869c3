"""bench and report: artefacts are measured and shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegan.commands.options import (
    AsJson,
    Deadline,
    Trust,
    choose,
    limit_foreign,
    show,
    show_headlines,
)
from edgegan.errors import ConfigError
from edgegan.streams import printable

if TYPE_CHECKING:
    from edgegan.benchmarks.devices.interface import Device


def bench(
    source: Annotated[
        Path | None, typer.Argument(help="run, export folder or one artefact")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="host, arm64, ssh://user@host, adb://[serial] or a name of edgegan devices"
        ),
    ] = "host",
    threads: Annotated[
        str, typer.Option(help="threads of the runtime; a sweep: 1,2,4 or with big (all big cores)")
    ] = "1",
    seconds: Annotated[float, typer.Option(min=0.1, help="time to spend on each artefact")] = 10.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder of records; default RUN/bench")
    ] = None,
    emulate: Annotated[
        str | None, typer.Option(help="core to emulate with --device arm64: cortex-a53, -a72, -a76")
    ] = None,
    which: Annotated[
        str | None, typer.Option(help="student, teacher or both; default both, student if emulated")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="two artefacts or runs: ratio B/A with its interval, in one run"),
    ] = None,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="ssh: install the runtimes on the device first")
    ] = False,
    benchmark_binary: Annotated[
        Path | None, typer.Option(help="adb: LiteRT's benchmark_model for the phone")
    ] = None,
    affinity: Annotated[
        str, typer.Option(help="cores: big (the strongest cluster), all, or numbers such as 4,5")
    ] = "big",
    cooldown: Annotated[
        float, typer.Option(min=0, help="longest wait, in s, for a hot device before each block")
    ] = 10.0,
    max_seconds: Annotated[
        float, typer.Option("--max-secs", min=0.1, help="longest time on one artefact")
    ] = 150.0,
    mlperf_like: Annotated[
        bool, typer.Option("--mlperf-like", help="60 s and 1024 inferences at least; p90 counts")
    ] = False,
    peak: Annotated[
        bool, typer.Option("--peak/--no-peak", help="also measure the device's convolution peak")
    ] = True,
    profile: Annotated[
        bool, typer.Option("--profile", help="also milliseconds by operator")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="let an unsteady record replace a steady one"),
    ] = False,
    trust: Trust = False,
    deadline: Deadline = None,
    csv: Annotated[Path | None, typer.Option(help="also write the records as CSV")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure latency, size and cost of teacher and student in one interleaved run, or count arm64 instructions."""
    from contextlib import closing

    from edgegan.benchmarks import table
    from edgegan.benchmarks.bench import ROLES, bench_device
    from edgegan.benchmarks.bench import compare as run_compare
    from edgegan.benchmarks.devices.book import open_device
    from edgegan.benchmarks.method import Method
    from edgegan.benchmarks.record import BenchRecord
    from edgegan.ownership.marks import check_replaceable, is_table

    limit_foreign(trust, deadline)
    if which is not None:
        choose("--which", [which], list(ROLES))
    if source is None and compare is None:
        raise ConfigError("name a run, an export folder or an artefact, or use --compare A B")
    settings: dict[str, Any] = {
        "seconds": seconds,
        "max_seconds": max_seconds,
        "cooldown_s": cooldown,
        "big_cores": affinity == "big",
        "cpus": parse_cpus(affinity),
        "profile": profile,
        "peak": peak,
        "tool": benchmark_binary,
    }
    if csv is not None:
        check_replaceable(csv, is_table)
    method = Method.mlperf(**settings) if mlperf_like else Method(**settings)
    sweep = parse_threads(threads)
    with closing(open_device(device, emulate=emulate, bootstrap=bootstrap)) as place:
        counts = list(dict.fromkeys(count or big_count(place) for count in sweep))
        if compare is not None:
            found = run_compare(*compare, place, counts[0], method)
            show(found, as_json, table.compare_text(found))
            return
        assert source is not None
        records = bench_device(
            source, output, place, counts, method, which=which, overwrite=overwrite
        )
    if csv is not None:
        table.write_csv(csv, records)
    following = (
        f"\nnext: edgegan report {printable(source)}" if (source / "run.json").is_file() else ""
    )
    text = table.records_table(records)
    if profile:
        profiled = [table.profile_table(r) for r in records if isinstance(r, BenchRecord)]
        text = "\n\n".join([text, *profiled])
    show([record.model_dump(mode="json") for record in records], as_json, text + following)


def parse_cpus(affinity: str) -> tuple[int, ...] | None:
    """The cores of --affinity; None for big and all."""
    if affinity in ("big", "all"):
        return None
    parts = affinity.split(",")
    if not all(part.isdigit() for part in parts):
        raise ConfigError(f"--affinity {affinity!r}: write big, all, or core numbers such as 4,5")
    return tuple(int(part) for part in parts)


def parse_threads(text: str) -> list[int | None]:
    """The thread counts of a sweep; None for "big", which only the device can tell."""
    counts: list[int | None] = []
    for part in text.split(","):
        if part != "big" and not (part.isdigit() and int(part) > 0):
            raise ConfigError(f"--threads {text!r}: write 1, or a sweep such as 1,2,4,big")
        counts.append(None if part == "big" else int(part))
    return counts


def big_count(device: Device) -> int:
    """How many big cores a device has."""
    state = device.probe()
    return len(state.big_cores() or state.cores) or 1


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="run folders, exported and benched; several are compared")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="HTML file; default RUN/report.html of a single run"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with figures and before/after pictures, and its .md and .json twins beside it."""
    from edgegan.benchmarks.report import report as run_report

    path, headlines = run_report(runs, output)
    show_headlines(path, headlines, as_json)
