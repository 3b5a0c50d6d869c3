"""What a search asks of the bench: latency here, instructions on a named core, a predictor; plain functions.

Predictor.layers_from(widths), Predictor.predict(layers) and build_predictor are in edgegan.benchmarks.predictor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegan.artefact import read_model
from edgegan.benchmarks.counting import Count, count_inference
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.devices.interface import WorkerDevice
from edgegan.benchmarks.measure import Method, measure
from edgegan.benchmarks.subjects import check_input
from edgegan.errors import InputError
from edgegan.runtime.session import Session


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
    device: WorkerDevice | None = None,
) -> list[Latency]:
    """Latency of artefacts (each with its model.json) in one interleaved run, on this machine unless a device is given.

    Outputs are checked first; raises ParityError, DeviceError, MissingDependency.
    """
    models = [(path, read_model(path)) for path in artefacts]
    method = Method(seconds=seconds, peak=False, cooldown_s=0.0)
    records, _ = measure(device or HostDevice(), models, threads, method)
    return [
        Latency(
            record.latency["median_ms"],
            record.latency["interval_low_ms"],
            record.latency["interval_high_ms"],
            record.verdict == "STABLE",
        )
        for record in records
    ]


def host_latency(artefact: Path, *, threads: int = 1, seconds: float = 2.0) -> Latency:
    """Latency of one artefact on this machine, of kind measured."""
    return latencies([artefact], threads=threads, seconds=seconds)[0]


def instructions(artefact: Path, core: str = "cortex-a76") -> Count:
    """Instructions of one inference of an artefact on an emulated core, of kind emulated-instructions; deterministic.

    Sets the core up on first use (about 40 s). Raises ConfigError for an unknown core, MissingDependency without qemu.
    """
    if not artefact.is_file():
        raise InputError(f"artefact {artefact} does not exist; make it with: edgegan export")
    device = EmulatedDevice(core)
    try:
        with Session(artefact, place=device) as session:
            session.run(check_input(artefact, read_model(artefact)))
            return count_inference(session, device)
    finally:
        device.close()
