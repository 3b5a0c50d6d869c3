"""LiteRT's benchmark_model on a phone: its flags, its text, and records from it.

Prebuilt Android arm64 binaries are published by Google at
https://storage.googleapis.com/litert/binaries/latest/android_arm64/benchmark_model
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.devices.interface import ShellDevice
from edgegan.benchmarks.devices.state import DeviceState
from edgegan.benchmarks.measure import chosen_cores, circumstances, tell_warnings, timed
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import BenchRecord, subject
from edgegan.console import progress, say
from edgegan.errors import ConfigError, DeviceError
from edgegan.files import sha256_file
from edgegan.processes import last_words
from edgegan.run import now

PUBLISHED_AT = "https://storage.googleapis.com/litert/binaries/latest/android_arm64/benchmark_model"
NUMBER = r"(\d{1,12}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?)"
MOST_MS, MOST_MB = 1e7, 1e6
MOST_LINE, MOST_ROWS = 1000, 20_000


@dataclass(frozen=True)
class ToolResult:
    """One run of benchmark_model, milliseconds; `median_ms` only where its version prints one."""

    count: int
    average_ms: float
    median_ms: float | None
    init_ms: float
    first_ms: float
    memory_bytes: int | None
    profile: list[tuple[str, float]] = field(default_factory=list)

    def typical_ms(self) -> float:
        """The block's figure: its median, or its average where the tool tells no median."""
        return self.average_ms if self.median_ms is None else self.median_ms


def parse_output(text: str) -> ToolResult:
    """Reads the tool's text; raises DeviceError with its last words when it holds no result."""
    summary = re.search(
        rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
        rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}",
        text,
    )
    counts = re.findall(r"count=(\d{1,12})\b([^\n]*)", text)
    if summary is None or not counts:
        raise DeviceError(f"benchmark_model gave no result: {last_words(text) or 'no output'}")
    count, rest = counts[-1]  # the first such line is the warm-up's
    median = re.search(rf"median={NUMBER}", rest)
    memory = re.search(rf"(?:delta|footprint)[^\n]*\(MB\)[^\n]*overall={NUMBER}", text)
    result = ToolResult(
        count=int(count),
        average_ms=float(summary[4]) / 1e3,
        median_ms=float(median[1]) / 1e3 if median else None,
        init_ms=float(summary[1]) / 1e3,
        first_ms=float(summary[2]) / 1e3,
        memory_bytes=int(min(float(memory[1]), MOST_MB) * 1e6) if memory else None,
        profile=parse_profile(text),
    )
    typical, told = result.typical_ms(), (result.average_ms, result.first_ms)
    if not typical > 0 or not all(value < MOST_MS for value in (typical, *told, result.init_ms)):
        raise DeviceError(f"benchmark_model tells an impossible time: {summary[0]}")
    return result


def parse_profile(text: str) -> list[tuple[str, float]]:
    """Node name and average milliseconds of the operator table, in run order; empty without one."""
    part = text.rpartition("Operator-wise Profiling Info")[2]
    table = part.split("Run Order", 1)[-1].split("Top by Computation Time")[0]
    rows: list[tuple[str, float]] = []
    for line in table.splitlines():
        # [node type] [start] [first] [avg ms] [%] [cdf%] [mem KB] [times called] [Name]
        found = re.match(
            r"\s*(\S.*?)\s+[\d.]+\s+(?:[\d.]+\s+)?(\d{1,9}(?:\.\d{1,9})?)\s+[\d.]+%\s+[\d.]+%\s+[\d.]+\s+\d+\s",
            line[:MOST_LINE],
        )
        if found and len(rows) < MOST_ROWS:
            rows.append((found[1], float(found[2])))
    return rows


@dataclass
class Entry:
    """One artefact under measurement."""

    path: Path
    model: ModelManifest
    remote: str
    results: list[ToolResult] = field(default_factory=list)


def measure_with_tool(
    device: ShellDevice,
    artefacts: Sequence[tuple[Path, ModelManifest]],
    threads: int,
    method: Method,
) -> list[BenchRecord]:
    """Times every .tflite in interleaved blocks, each one start of the tool; samples are the blocks' medians.

    The tool fills inputs with noise and shows no output, so correctness is not checked: the records say so.
    """
    if method.tool is None or not method.tool.is_file():
        raise ConfigError(
            "a phone has no Python: give LiteRT's tool with --benchmark-binary FILE; "
            f"Google publishes it at {PUBLISHED_AT}"
        )
    chosen = runnable(device, artefacts)
    tool = install(device, method.tool)
    started, before = now(), device.probe()
    tell_warnings(device, before)
    entries = [Entry(path, model, device.push(path)) for path, model in chosen]
    cores, states = chosen_cores(before, method), [before]
    with progress(f"bench {device.name}", method.rounds) as bar:
        for number in range(method.rounds):
            for entry in entries if number % 2 == 0 else entries[::-1]:
                profile = method.profile and number == method.rounds - 1
                command = block_command(tool, entry.remote, threads, method, cores, profile)
                entry.results.append(run_tool(device, command, block_limit_s(method)))
            states.append(device.probe())
            bar.step(number + 1)
    about = circumstances(device, states, method, started) | {
        "threads": threads,
        "cpus": cores,
        "runtime": "benchmark_model",
        "runtime_version": f"sha256 {sha256_file(method.tool)[:16]}",
        "warnings": [*before.warnings(), "correctness not checked: the tool shows no output"],
    }
    return [make_record(entry, about, states, method) for entry in entries]


def runnable(
    device: ShellDevice, artefacts: Sequence[tuple[Path, ModelManifest]]
) -> list[tuple[Path, ModelManifest]]:
    """The artefacts that the tool can load; raises ConfigError when there is none."""
    chosen = [(path, model) for path, model in artefacts if model.target == "tflite"]
    left = len(artefacts) - len(chosen)
    if left:
        say(f"{device.name}: {left} ONNX artefacts left out: benchmark_model runs .tflite only")
    if not chosen:
        raise ConfigError("there is no .tflite to measure; export one with --target tflite")
    return chosen


def install(device: ShellDevice, binary: Path) -> str:
    """The tool's path on the device, where it may be executed."""
    tool = device.push(binary)
    made = device.run(["chmod", "755", tool])
    if made.code:
        raise DeviceError(f"{device.name} cannot make the tool executable: {made.last_words()}")
    return tool


def make_record(
    entry: Entry, about: dict[str, Any], states: Sequence[DeviceState], method: Method
) -> BenchRecord:
    """The record of one artefact; a block that was profiled is no sample."""
    taken = [result.typical_ms() for result in entry.results]
    samples = taken[:-1] if method.profile and len(taken) > 1 else taken
    last = entry.results[-1]
    figure = "means" if last.median_ms is None else "medians"
    return BenchRecord(
        **about,
        **subject(entry.model),
        **timed(samples, states),
        samples_are=f"{figure} of blocks of {last.count} inferences",
        load_ms=last.init_ms,
        first_inference_ms=entry.results[0].first_ms,
        peak_rss_bytes=last.memory_bytes,
        profile=last.profile or None,
        profile_note="benchmark_model's operator table" if last.profile else "",
    )


def block_limit_s(method: Method) -> float:
    """The longest time of one block."""
    return max(method.max_seconds, method.seconds) / method.rounds


def block_command(
    tool: str,
    model: str,
    threads: int,
    method: Method,
    cores: Sequence[int] | None,
    profile: bool,
) -> list[str]:
    """One start of the tool; its own --max_secs ends it on the phone whatever happens here."""
    command = [
        tool,
        f"--graph={model}",
        f"--num_threads={threads}",
        "--warmup_runs=3",
        f"--num_runs={math.ceil(method.min_runs / method.rounds)}",
        f"--min_secs={method.seconds / method.rounds:.3f}",
        f"--max_secs={block_limit_s(method):.3f}",
        f"--enable_op_profiling={'true' if profile else 'false'}",
    ]
    return ["taskset", f"{sum(1 << core for core in cores):x}", *command] if cores else command


def run_tool(device: ShellDevice, command: Sequence[str], limit_s: float) -> ToolResult:
    """One block; raises DeviceError with the tool's last words when it fails."""
    done = device.run(command, limit_s * 2 + 60)
    if done.code:
        raise DeviceError(
            f"{device.name}: benchmark_model ended with status {done.code}: {done.last_words()}; "
            "is it the build for this phone (android_arm64)?"
        )
    try:
        return parse_output(done.output + done.errors)
    except DeviceError as error:
        raise DeviceError(f"{device.name}: {error}; run the tool there by hand") from error
