"""Bench records as a table for the terminal."""

from __future__ import annotations

from edgegan.benchmarks.record import BenchRecord

from edgegan.console import table


def bench_table(records: list[BenchRecord]) -> str:
    """One row an artefact, with the speed-up over the teacher's fp32 artefact in the same runtime."""
    baselines = {
        r.runtime: r.latency["median_ms"]
        for r in records
        if r.role == "teacher" and r.precision == "fp32"
    }
    rows = []
    for r in records:
        median = r.latency["median_ms"]
        base = baselines.get(r.runtime)
        rows.append(
            [
                r.artefact,
                f"{r.macs / 1e9:.2f}",
                f"{r.macs_published / 1e9:.2f}",
                f"{r.parameters:,}",
                f"{r.size_bytes / 1e6:.2f}",
                f"{median:.2f}",
                f"{r.latency['interval_low_ms']:.2f}-{r.latency['interval_high_ms']:.2f}",
                f"{r.latency['p90_ms']:.2f}",
                f"{r.macs / median / 1e6:.1f}",
                f"{base / median:.1f}x" if base else "",
                f"{r.peak_rss_bytes / 1e6:.0f}" if r.peak_rss_bytes else "",
                r.verdict,
            ]
        )
    headers = [
        "artefact",
        "GMACs",
        "published",
        "parameters",
        "MB",
        "median ms",
        "95 % interval",
        "p90 ms",
        "GMAC/s",
        "vs teacher fp32",
        "peak MB",
        "verdict",
    ]
    first = records[0]
    where = (
        f"{first.environment['processor']}, {first.threads} thread{'s' if first.threads > 1 else ''}, batch 1, "
        + ", ".join(sorted({f"{r.runtime} {r.runtime_version}" for r in records}))
    )
    return f"{table(headers, rows)}\n{where}"
