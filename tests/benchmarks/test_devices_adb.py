"""Over a real adbd in a network namespace of its own: bench with a tool, hostile names, a cut connection."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.alone import start_command
from support.commands import edgegan
from support.device_lab import Phone, command_lines, start_phone, wait_for
from support.hostile import ADDRESSES, NAMES

from edgegan.benchmarks.devices.adb import AdbDevice
from edgegan.errors import ConfigError, DeviceError

# Stands for LiteRT's benchmark_model, which needs Android's own libraries: same flags, same text, real arm64 LiteRT.
TOOL = """#!/usr/bin/python3
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
began = time.perf_counter()
model = Interpreter(model_path=flags["graph"], num_threads=int(flags["num_threads"]))
model.allocate_tensors()
init = time.perf_counter() - began
samples = []
began = time.perf_counter()
while len(samples) < int(flags["num_runs"]) + 1 or time.perf_counter() - began < float(flags["min_secs"]):
    start = time.perf_counter()
    model.invoke()
    samples.append((time.perf_counter() - start) * 1e6)
us = samples[1:]
print("count=1 curr=%d" % samples[0])
print("count=%d first=%d curr=%d min=%d max=%d avg=%g std=%d" % (
    len(us), us[0], us[-1], min(us), max(us), np.mean(us), np.std(us)))
print("Inference timings in us: Init: %d, First inference: %d, Warmup (avg): %g, Inference (avg): %g" % (
    init * 1e6, samples[0], samples[0], np.mean(us)))
"""


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    """The phone, its adb server in the environment."""
    with start_phone(tmp_path_factory.mktemp("phone")) as found:
        os.environ.update(found.environment)
        yield found
        for name in found.environment:
            del os.environ[name]


def bench(artefact: Path, output: Path, tool: Path, *more: str) -> list[object]:
    """A bench command on the phone."""
    tool.write_text(TOOL)
    command = ["bench", artefact, "-o", output, "--device", "adb://127.0.0.1:5555"]
    return [*command, "--benchmark-binary", tool, "--cooldown", "0", *more]


def test_bench_over_adb(phone: Phone, finished_run: Path, tmp_path: Path) -> None:
    artefact = finished_run / "export" / "student_int8.tflite"
    before = set((phone.root / "data/local/tmp").glob("edgegan*"))  # of connections cut earlier
    command = bench(artefact, tmp_path, tmp_path / "tool", "--seconds", "0.1", "--json")
    done = edgegan(*command, timeout=200)
    record = json.loads(done.stdout)[0]
    assert record["runtime"] == "benchmark_model"
    assert record["samples_are"] == "means of blocks of 3 inferences"
    assert len(record["samples_ms"]) == 10
    assert record["device_state"]["extra"]["ro.product.model"] == "Pixel Stub"
    assert record["device_state"]["temperatures_c"]["battery"] == 31.5
    assert any("correctness not checked" in warning for warning in record["warnings"])
    assert set((phone.root / "data/local/tmp").glob("edgegan*")) == before


def test_tool_is_asked_for(phone: Phone, finished_run: Path, tmp_path: Path) -> None:
    artefact = finished_run / "export" / "student_int8.tflite"
    command = ["bench", artefact, "-o", tmp_path, "--device", f"adb://{phone.serial}"]
    done = edgegan(*command, check=False, timeout=100)
    assert done.returncode == 2
    assert "storage.googleapis.com/litert" in done.stderr


def test_hostile_names_over_adb(phone: Phone, tmp_path: Path) -> None:
    device = AdbDevice(f"adb://{phone.serial}")
    try:
        for number, name in enumerate(NAMES):
            path = tmp_path / name
            path.write_bytes(b"content %d" % number)
            remote = device.push(path)
            path.unlink()
            device.pull(remote, path)
            assert path.read_bytes() == b"content %d" % number
            assert device.run(["echo", name]).output == f"{name}\n"
    finally:
        device.close()
    assert not list(tmp_path.glob("canary*")) and not Path("canary").exists()
    assert not list(phone.root.glob("data/**/canary*")) and not (phone.root / "canary").exists()


def test_hostile_serials(phone: Phone) -> None:
    assert phone.serial
    for address in ADDRESSES:
        with pytest.raises((ConfigError, DeviceError)):
            AdbDevice(f"adb://{address}")
    assert not Path("canary").exists()


def test_cut_connection_leaves_nothing(phone: Phone, finished_run: Path, tmp_path: Path) -> None:
    """The last test of this module: it takes the adb server away."""
    artefact = finished_run / "export" / "student_int8.tflite"
    command = bench(artefact, tmp_path, tmp_path / "tool", "--seconds", "100")
    process = start_command(command, tmp_path / "log")

    def running() -> bool:
        return any("qemu-aarch64" in line and "--graph=" in line for _, line in command_lines())

    wait_for("the tool on the phone", running, 60)
    phone.adb("kill-server")
    process.join(60)
    errors = (tmp_path / "log").read_text()
    assert process.exitcode == 4, errors
    assert "Traceback" not in errors
    wait_for("the end of the tool", lambda: not running(), 20)
    assert not list(tmp_path.glob("*.json*"))
