"""Records as tables for the terminal and as CSV; each kind in a table of its own."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegan.benchmarks.column import Column, fill
from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord
from edgegan.benchmarks.reporting.latency import operator_times
from edgegan.console import table
from edgegan.errors import ConfigError
from edgegan.files import write_atomic
from edgegan.streams import printable

NOT_IN_CSV = (
    "samples_ms",
    "environment",
    "states",
    "device_state",
    "profile",
    "correctness",
    "latency",
    "shares",
)


def records_table(records: Sequence[AnyRecord]) -> str:
    """A table of measured records, or one of counts; both when both are given, one after the other."""
    measured = [r for r in records if isinstance(r, BenchRecord)]
    counts = [r for r in records if isinstance(r, CountRecord)]
    parts = [bench_table(measured)] if measured else []
    parts += [count_table(counts)] if counts else []
    return "\n\n".join(parts)


@dataclass(frozen=True)
class Measured:
    """A measured record beside the median of the teacher's fp32 artefact in the same runtime and threads."""

    record: BenchRecord
    teacher_ms: float | None = None

    def median(self) -> str:
        return f"{self.record.latency['median_ms']:.2f}"

    def interval(self) -> str:
        latency = self.record.latency
        return f"{latency['interval_low_ms']:.2f}-{latency['interval_high_ms']:.2f}"

    def p90(self) -> str:
        """Only of single inferences: blocks have no such figure."""
        single = self.record.samples_are == "inferences"
        return f"{self.record.latency['p90_ms']:.2f}" if single else ""

    def peak_share(self) -> str:
        share = self.record.peak_share()
        return f"{share:.0%}" if share is not None else ""

    def speed_up(self) -> str:
        base = self.teacher_ms
        return f"{base / self.record.latency['median_ms']:.1f}x" if base else ""

    def peak_megabytes(self) -> str:
        peak = self.record.peak_rss_bytes
        return f"{peak / 1e6:.0f}" if peak else ""

    def fvcore_gmacs(self) -> str:
        """fvcore's count in G, or nothing where it has none."""
        count = self.record.macs_fvcore
        return "" if count is None else f"{count / 1e9:.2f}"


# One line a column. `report` shows it in the report's table of artefacts as well.
COLUMNS: tuple[Column[Measured], ...] = (
    Column("artefact", lambda row: row.record.artefact),
    Column("threads", lambda row: str(row.record.threads)),
    Column("GMACs", lambda row: f"{row.record.macs / 1e9:.2f}"),
    Column("published", lambda row: f"{row.record.macs_published / 1e9:.2f}"),
    Column("fvcore", Measured.fvcore_gmacs),
    Column("parameters", lambda row: f"{row.record.parameters:,}"),
    Column("MB", lambda row: f"{row.record.size_bytes / 1e6:.2f}"),
    Column("median ms", Measured.median, report=True),
    Column("95 % interval", Measured.interval),
    Column("p90 ms", Measured.p90, report=True),
    Column("GMAC/s", lambda row: f"{row.record.gmacs_per_s():.1f}", report=True),
    Column("of peak", Measured.peak_share),
    Column("vs teacher fp32", Measured.speed_up),
    Column("peak MB", Measured.peak_megabytes, report=True),
    Column("verdict", lambda row: row.record.verdict),
)


def bench_table(records: Sequence[BenchRecord]) -> str:
    """One row an artefact, with the speed-up over the teacher's fp32 artefact in the same runtime and threads."""
    baselines = {
        (r.runtime, r.threads): r.latency["median_ms"]
        for r in records
        if r.role == "teacher" and r.precision == "fp32"
    }
    rows = [Measured(r, baselines.get((r.runtime, r.threads))) for r in records]
    first = records[0]
    board = first.device_state.get("board") or first.device_state.get("processor")
    where = f"{first.device}: {board or first.environment['processor']}, batch 1, " + ", ".join(
        sorted({f"{r.runtime} {r.runtime_version}" for r in records})
    )
    notes = [f"{r.artefact}: UNSTABLE, {'; '.join(r.reasons)}" for r in records if r.reasons]
    notes += sorted({warning for r in records for warning in r.warnings})
    if first.samples_are != "inferences":
        notes.append(f"samples are {first.samples_are}")
    return "\n".join([table(*fill(COLUMNS, rows)), *map(printable, [where, *notes])])


def outside(record: CountRecord) -> str:
    """The operators that XNNPACK left to the runtime."""
    if record.outside_xnnpack is None:
        return "not told"
    counts = Counter(record.outside_xnnpack)
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def likeness(record: CountRecord) -> str:
    """How the output there differs from the one here."""
    same = record.correctness
    return "" if same is None else "bit-equal" if same.bit_equal else f"{same.max_abs:.1e}"


COUNT_COLUMNS: tuple[Column[CountRecord], ...] = (
    Column("artefact", lambda r: r.artefact),
    Column("GMACs", lambda r: f"{r.macs / 1e9:.3f}"),
    Column("instructions", lambda r: f"{r.instructions:,}"),
    Column("MACs/instruction", lambda r: f"{r.macs / r.instructions:.2f}"),
    Column("sdot/udot", lambda r: f"{r.shares.get('dot product', 0):.1%}"),
    Column("fmla", lambda r: f"{r.shares.get('float multiply-add', 0):.1%}"),
    Column("load/store", lambda r: f"{r.shares.get('load or store', 0):.1%}"),
    Column("outside XNNPACK", outside),
    Column("against this machine", likeness),
)


def count_table(records: Sequence[CountRecord]) -> str:
    """One row an artefact: instructions of one inference, never a time."""
    first = records[0]
    where = (
        f"{first.core}, emulated: instructions of one inference, one thread, "
        + ", ".join(sorted({f"{r.runtime} {r.runtime_version}" for r in records}))
        + "; compare models of one precision on one core; not a time"
    )
    return f"{table(*fill(COUNT_COLUMNS, records))}\n{printable(where)}"


def profile_table(record: BenchRecord) -> str:
    """The operators that take longest, with their share, those of one name together."""
    if not record.profile:
        return printable(f"{record.artefact}: {record.profile_note or 'no profile'}")
    rows = [
        [each.name, str(each.calls), f"{each.ms:.3f}", f"{each.share:.1%}"]
        for each in operator_times(record)
    ]
    return f"{table([record.artefact, 'calls', 'ms', 'share'], rows)}\n{printable(record.profile_note)}"


def compare_text(found: dict[str, Any]) -> str:
    """The comparison in words."""
    if found["kind"] == "emulated-instructions":
        text = f"{found['device']}: A {found['a']:,}, B {found['b']:,} instructions"
        return printable(f"{text}; B/A {found['ratio']:.4f}, exact")
    unsteady = " (UNSTABLE: measure again)" if "UNSTABLE" in found["verdicts"] else ""
    text = (
        f"{found['device']}: A {found['a']:.3f} ms, B {found['b']:.3f} ms; B/A {found['ratio']:.3f} "
        f"(95 % interval {found['interval_low']:.3f} to {found['interval_high']:.3f})"
    )
    return printable(f"{text}: {found['difference']}{unsteady}")


def write_csv(path: Path, records: Sequence[AnyRecord]) -> None:
    """One row a record, of one kind only; raises ConfigError for a mixture."""
    if len({record.kind for record in records}) != 1:
        raise ConfigError("a CSV holds records of one kind only")
    rows = []
    for record in records:
        values = {k: v for k, v in record.model_dump(mode="json").items() if k not in NOT_IN_CSV}
        values["size"] = "x".join(map(str, record.size))
        if isinstance(record, BenchRecord):
            values.update(record.latency)
            values["samples"] = len(record.samples_ms)
            values["gmacs_per_s"] = record.gmacs_per_s()
            values["peak_share"] = record.peak_share()
        if isinstance(record, CountRecord):
            values.update({f"share {kind}": share for kind, share in record.shares.items()})
        if record.correctness is not None:
            values.update({f"output_{k}": v for k, v in record.correctness.model_dump().items()})
        rows.append(
            {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in values.items()}
        )
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, printable(buffer.getvalue(), keep="\r\n\t").encode())
