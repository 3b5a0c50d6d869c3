"""Latency of artefacts in one interleaved run, as a plain function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegan.artefact import read_model
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.measure import measure
from edgegan.benchmarks.method import Method


@dataclass(frozen=True)
class Latency:
    """Median of one artefact's inferences with its 95 % interval, ms; `stable` is false after drift or throttling."""

    median_ms: float
    low_ms: float
    high_ms: float
    stable: bool


def latencies(
    artefacts: Sequence[Path],
    *,
    threads: int = 1,
    seconds: float = 2.0,
) -> list[Latency]:
    """Latency of artefacts (each with its model.json) in one interleaved run on this machine.

    Outputs are checked first; raises ParityError, DeviceError, MissingDependency.
    """
    models = [(path, read_model(path)) for path in artefacts]
    method = Method(seconds=seconds, peak=False, cooldown_s=0.0)
    records, _ = measure(HostDevice(), models, threads, method)
    return [
        Latency(
            record.latency["median_ms"],
            record.latency["interval_low_ms"],
            record.latency["interval_high_ms"],
            record.verdict == "STABLE",
        )
        for record in records
    ]
