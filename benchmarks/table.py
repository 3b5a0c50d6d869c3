"""Records as tables for the terminal and as CSV; each kind in a table of its own."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord
from edgegan.console import table
from edgegan.errors import ConfigError
from edgegan.files import write_atomic

PROFILE_ROWS = 12
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


def bench_table(records: Sequence[BenchRecord]) -> str:
    """One row an artefact, with the speed-up over the teacher's fp32 artefact in the same runtime and threads."""
    baselines = {
        (r.runtime, r.threads): r.latency["median_ms"]
        for r in records
        if r.role == "teacher" and r.precision == "fp32"
    }
    rows = []
    for r in records:
        median = r.latency["median_ms"]
        base = baselines.get((r.runtime, r.threads))
        share = r.peak_share()
        single = r.samples_are == "inferences"
        rows.append(
            [
                r.artefact,
                str(r.threads),
                f"{r.macs / 1e9:.2f}",
                f"{r.macs_published / 1e9:.2f}",
                f"{r.macs_fvcore / 1e9:.2f}",
                f"{r.parameters:,}",
                f"{r.size_bytes / 1e6:.2f}",
                f"{median:.2f}",
                f"{r.latency['interval_low_ms']:.2f}-{r.latency['interval_high_ms']:.2f}",
                f"{r.latency['p90_ms']:.2f}" if single else "",
                f"{r.gmacs_per_s():.1f}",
                f"{share:.0%}" if share is not None else "",
                f"{base / median:.1f}x" if base else "",
                f"{r.peak_rss_bytes / 1e6:.0f}" if r.peak_rss_bytes else "",
                r.verdict,
            ]
        )
    headers = [
        "artefact",
        "threads",
        "GMACs",
        "published",
        "fvcore",
        "parameters",
        "MB",
        "median ms",
        "95 % interval",
        "p90 ms",
        "GMAC/s",
        "of peak",
        "vs teacher fp32",
        "peak MB",
        "verdict",
    ]
    first = records[0]
    board = first.device_state.get("board") or first.device_state.get("processor")
    where = f"{first.device}: {board or first.environment['processor']}, batch 1, " + ", ".join(
        sorted({f"{r.runtime} {r.runtime_version}" for r in records})
    )
    notes = [f"{r.artefact}: UNSTABLE, {'; '.join(r.reasons)}" for r in records if r.reasons]
    notes += sorted({warning for r in records for warning in r.warnings})
    if first.samples_are != "inferences":
        notes.append(f"samples are {first.samples_are}")
    return "\n".join([table(headers, rows), where, *notes])


def count_table(records: Sequence[CountRecord]) -> str:
    """One row an artefact: instructions of one inference, never a time."""
    rows = []
    for r in records:
        outside = ", ".join(f"{n} {name}" for name, n in Counter(r.outside_xnnpack or []).items())
        same = r.correctness
        rows.append(
            [
                r.artefact,
                f"{r.macs / 1e9:.3f}",
                f"{r.instructions:,}",
                f"{r.macs / r.instructions:.2f}",
                f"{r.shares.get('dot product', 0):.1%}",
                f"{r.shares.get('float multiply-add', 0):.1%}",
                f"{r.shares.get('load or store', 0):.1%}",
                "not told" if r.outside_xnnpack is None else outside or "none",
                "" if same is None else "bit-equal" if same.bit_equal else f"{same.max_abs:.1e}",
            ]
        )
    headers = [
        "artefact",
        "GMACs",
        "instructions",
        "MACs/instruction",
        "sdot/udot",
        "fmla",
        "load/store",
        "outside XNNPACK",
        "against this machine",
    ]
    first = records[0]
    where = (
        f"{first.core}, emulated: instructions of one inference, one thread, "
        + ", ".join(sorted({f"{r.runtime} {r.runtime_version}" for r in records}))
        + "; compare models of one precision on one core; not a time"
    )
    return f"{table(headers, rows)}\n{where}"


def profile_table(record: BenchRecord) -> str:
    """The operators that take longest, with their share, those of one name together."""
    if not record.profile:
        return f"{record.artefact}: {record.profile_note or 'no profile'}"
    spent: dict[str, float] = {}
    calls: Counter[str] = Counter()
    for name, milliseconds in record.profile:
        kind = name.split()[0] if record.target == "onnx" else name
        spent[kind] = spent.get(kind, 0.0) + milliseconds
        calls[kind] += 1
    total = sum(spent.values()) or 1.0
    rows = [
        [name, str(calls[name]), f"{value:.3f}", f"{value / total:.1%}"]
        for name, value in sorted(spent.items(), key=lambda item: -item[1])[:PROFILE_ROWS]
    ]
    return f"{table([record.artefact, 'calls', 'ms', 'share'], rows)}\n{record.profile_note}"


def compare_text(found: dict[str, Any]) -> str:
    """The comparison in words."""
    if found["kind"] == "emulated-instructions":
        return f"{found['device']}: A {found['a']:,}, B {found['b']:,} instructions; B/A {found['ratio']:.4f}, exact"
    unsteady = " (UNSTABLE: measure again)" if "UNSTABLE" in found["verdicts"] else ""
    text = (
        f"{found['device']}: A {found['a']:.3f} ms, B {found['b']:.3f} ms; B/A {found['ratio']:.3f} "
        f"(95 % interval {found['interval_low']:.3f} to {found['interval_high']:.3f})"
    )
    return f"{text}: {found['difference']}{unsteady}"


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
    write_atomic(path, buffer.getvalue().encode())
