"""make bench-overhead: what the bench adds to an inference of about 5 ms, beside LiteRT's own tool in one run.

python -m edgegan.benchmarks.studies.overhead prints the time an inference takes beyond what its samples say (the loop,
the clock, the request), as a share, and the ratio of our median to the tool's in interleaved rounds with its interval.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edgegan.benchmarks.tflite_graph import conv_model
from edgegan.benchmarks.timing import compare_rounds
from edgegan.console import emit, progress
from edgegan.errors import DeviceError, MissingDependency
from edgegan.files import read_json
from edgegan.run import now, processor_name
from edgegan.runtime.session import Session

SIDE, CHANNELS, KERNEL = 64, 96, 3
ROUNDS, RUNS = 10, 100


def tool_median_ms(tool: Path, model: Path, folder: Path) -> float:
    """The median that ai-edge-litert's litert-benchmark measures."""
    result = folder / "result.json"
    command = [str(tool), "--model", str(model), "--num_runs", str(RUNS), "--num_threads", "1"]
    command += ["--result_json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(f"litert-benchmark failed: {done.stderr.strip()[-300:]}")
    return find_median(read_json(result))


def find_median(values: object) -> float:
    """The value called median_ms, wherever the tool's version puts it."""
    if isinstance(values, dict):
        for key, value in values.items():
            found = float(value) if key == "median_ms" else find_median(value)
            if found:
                return found
    return 0.0


def main() -> None:
    """See the module."""
    import ai_edge_litert

    places = [
        Path(sys.executable).parent,
        *(Path(p).parents[3] / "bin" for p in ai_edge_litert.__path__),
    ]
    tool = next(
        (p / "litert-benchmark" for p in places if (p / "litert-benchmark").is_file()), None
    )
    if tool is None:
        raise MissingDependency("litert-benchmark of ai-edge-litert 2.3 is not installed")
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    beyond_ms: list[float] = []
    with tempfile.TemporaryDirectory() as name, progress("overhead", ROUNDS) as bar:
        model = Path(name) / "conv.tflite"
        model.write_bytes(conv_model(SIDE, CHANNELS, KERNEL, "fp32"))
        with Session(model, runtime="litert") as session:
            item = np.zeros((1, SIDE, SIDE, CHANNELS), np.float32)
            session.time(RUNS, item)
            for number in range(ROUNDS):
                began = time.perf_counter()
                samples = session.time(RUNS)["samples_ms"]
                beyond_ms.append(((time.perf_counter() - began) * 1e3 - sum(samples)) / RUNS)
                ours.append(samples)
                theirs.append([tool_median_ms(tool, model, Path(name))])
                bar.step(number + 1)
    median = float(np.median([value for samples in ours for value in samples]))
    beyond = float(np.median(beyond_ms))
    emit(
        f"{median:.3f} ms an inference; beyond its sample {beyond * 1e3:.1f} us, {beyond / median:.3%}"
    )
    found = compare_rounds(theirs, ours)
    emit(
        f"ours / litert-benchmark: {found['ratio']:.4f} "
        f"(95 % interval {found['interval_low']:.4f} to {found['interval_high']:.4f}, {ROUNDS} interleaved rounds)"
    )
    emit(f"{processor_name()}, {now()}")


if __name__ == "__main__":
    main()
