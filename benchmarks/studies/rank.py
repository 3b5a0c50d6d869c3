"""make bench-rank: do MACs, instruction counts and the predictor rank random students as measured latency does?

python -m edgegan.benchmarks.studies.rank [FOLDER] [COUNT] prints Spearman's coefficient of each against the int8
latency on this machine, and the predictor's errors on networks that it has not seen, for time here and for counts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgegan.artefact import read_model
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.predictor.build import Sample, build_predictor, emulated_counts
from edgegan.benchmarks.studies.latencies import latencies
from edgegan.benchmarks.studies.random_students import make_students
from edgegan.console import emit, table
from edgegan.metrics.ranks import spearman
from edgegan.run import now, processor_name

SIZE = 128
COUNT = 30
SAMPLES = 10
CORE = "cortex-a76"
SECONDS = 3.0


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/rank")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else COUNT
    students = [Sample(s.path, s.widths) for s in make_students(folder, count, SIZE)]
    samples, unseen = students[:SAMPLES], students[SAMPLES:]
    host = build_predictor(samples, HostDevice(), unseen=unseen)
    host.save(folder / "predictor_host.json")
    device = EmulatedDevice(CORE, blocks=False)
    try:
        emulated = build_predictor(samples, device, unseen=unseen)
        emulated.save(folder / f"predictor_{CORE}.json")
        counted = emulated_counts(device, [s.path for s in students])
    finally:
        device.close()
    measured = [found.median_ms for found in latencies([s.path for s in students], seconds=SECONDS)]
    macs = [float(read_model(s.path).macs) for s in students]
    predicted = [host.predict(host.layers_from(s.widths)) for s in students]
    rows = [
        [
            "MACs",
            f"{spearman(macs, measured):.3f}",
            f"{spearman(macs[SAMPLES:], measured[SAMPLES:]):.3f}",
        ],
        [
            f"instructions, {CORE} emulated",
            f"{spearman(counted, measured):.3f}",
            f"{spearman(counted[SAMPLES:], measured[SAMPLES:]):.3f}",
        ],
        [
            "predictor, this machine",
            f"{spearman(predicted, measured):.3f}",
            f"{spearman(predicted[SAMPLES:], measured[SAMPLES:]):.3f}",
        ],
    ]
    headers = ["cost", f"Spearman, {count} students", f"the {len(unseen)} unseen ones"]
    emit(table(headers, rows))
    later = [abs(p / m - 1) for p, m in zip(predicted[SAMPLES:], measured[SAMPLES:], strict=True)]
    emit(f"against int8 latency, {min(measured):.2f} to {max(measured):.2f} ms")
    emit(
        f"predictor against the later interleaved bench, unseen students: median error {np.median(later):.1%}"
    )
    for predictor in (host, emulated):
        validation = predictor.validation
        assert validation is not None
        emit(
            f"predictor of {predictor.unit} on {predictor.device}: {validation.networks} unseen networks, "
            f"median error {validation.median_error:.2%}, largest {validation.max_error:.2%}"
        )
    emit(f"{processor_name()}, {now()}")


if __name__ == "__main__":
    main()
