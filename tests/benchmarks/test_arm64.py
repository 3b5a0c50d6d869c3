"""The emulated arm64 core: set-up, its own cpuinfo, equal outputs, exact counts, what kinds of instructions ran."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.int8_products import are_exact

from edgegan.benchmarks.bench import bench_device, compare
from edgegan.benchmarks.counting import classify, count_inference
from edgegan.benchmarks.devices import root
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import CountRecord
from edgegan.benchmarks.subjects import TOLERANCE
from edgegan.benchmarks.tflite_graph import conv_model
from edgegan.errors import ConfigError, DeviceError
from edgegan.runtime.session import Session

OPCODES = {  # from the Arm architecture reference's encodings
    0x4E829420: "dot product",  # sdot v0.4s, v1.16b, v2.16b
    0x4F82E020: "dot product",  # sdot v0.4s, v1.16b, v2.4b[0]
    0x4E22CC20: "float multiply-add",  # fmla v0.4s, v1.4s, v2.4s
    0x4F821020: "float multiply-add",  # fmla v0.4s, v1.4s, v2.s[0]
    0x3DC00020: "load or store",  # ldr q0, [x1]
    0x4EA28420: "other vector",  # add v0.4s, v1.4s, v2.4s
    0x54000041: "branch",  # b.ne
    0x8B020020: "integer",  # add x0, x1, x2
}


def test_kinds_of_instructions() -> None:
    for opcode, kind in OPCODES.items():
        found = classify(np.array([opcode], np.uint32), np.array([3], np.int64))
        assert {name for name, runs in found.items() if runs} == {kind}, hex(opcode)
        assert found[kind] == 3


@pytest.fixture(scope="module", params=["cortex-a76"])
def core(request: pytest.FixtureRequest) -> Iterator[EmulatedDevice]:
    """A core, set up on first use."""
    for program, package in root.TOOLS.items():
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")
    device = EmulatedDevice(request.param)
    yield device
    device.close()


def int8_conv(folder: Path) -> Path:
    """A static int8 convolution."""
    path = folder / "conv.tflite"
    path.write_bytes(conv_model(8, 32, 3, "int8"))
    return path


def test_int8_is_bit_equal_and_counts_repeat(core: EmulatedDevice, tmp_path: Path) -> None:
    """Static int8: the same bits as here, the same count in two processes, half of it dot products."""
    path = int8_conv(tmp_path)
    item = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 32)).astype(np.int8)
    with Session(path, runtime="litert") as session:
        expected = session.run(item)
    assert expected.std() > 1
    counts = []
    for _ in range(2):
        with Session(path, place=core) as session:
            assert np.array_equal(session.run(item), expected)
            counts.append(count_inference(session, core))
    first, second = counts
    assert abs(first.instructions - second.instructions) <= max(64, 1e-5 * first.instructions)
    assert first.shares["dot product"] > 0.2
    assert sum(first.shares.values()) == pytest.approx(1)
    macs = 8 * 8 * 32 * 32 * 9
    assert macs / 16 * 0.9 < first.shares["dot product"] * first.instructions < macs / 16 * 1.6


def test_core_answers_for_itself(core: EmulatedDevice) -> None:
    state = core.probe()
    assert state.machine == "aarch64" and "asimddp" in state.features
    assert "CPU part=0xd0b" in state.midr and not state.processor
    wrong = core.view.parent / "cortex-a53"
    original, core.view = core.view, wrong
    try:
        with pytest.raises(DeviceError, match="does not answer as one"):
            core.probe()
    finally:
        core.view = original


def test_bench_on_the_core(core: EmulatedDevice, finished_run: Path, tmp_path: Path) -> None:
    """Two artefacts of a run, LiteRT and ONNX Runtime; records of their own kind, no time in them."""
    folder = tmp_path / "bench"
    export = finished_run / "export"
    # Where this machine's own ONNX Runtime saturates, nothing of it can be compared.
    for name in ("student_int8.onnx", "student_int8.tflite")[0 if are_exact() else 1 :]:
        records = bench_device(export / name, folder, core, [1], Method())
        record = records[0]
        assert isinstance(record, CountRecord)
        assert record.kind == "emulated-instructions" and "ms" not in record.model_dump_json()[:80]
        # What is quantised picture by picture may fall on the next step where kernels sum in another order.
        assert record.correctness is not None
        assert record.correctness.max_abs < TOLERANCE["int8"]
        assert record.instructions > record.macs / 16
        assert record.shares["dot product"] > 0
        assert (folder / f"emulated-cortex-a76__{name}.json").is_file()
    with pytest.raises(ConfigError, match="one thread"):
        bench_device(export / name, folder, core, [2], Method())


def test_comparison_of_counts_is_exact(core: EmulatedDevice, finished_run: Path) -> None:
    path = finished_run / "export" / "student_int8.tflite"
    found = compare(path, path, core, 1, Method())
    assert found["ratio"] == pytest.approx(1, abs=1e-5)


def test_damaged_root_is_noticed(core: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    assert root.problem(core.folder) is None
    monkeypatch.setattr(root, "sources", lambda: {"other": "versions"})
    assert root.problem(core.folder) == "made from other versions"
    monkeypatch.undo()
    monkeypatch.setattr(root, "sha256_file", lambda _: "0" * 64)
    assert root.problem(core.folder) in (
        "made from other versions",
        "root/usr/bin/python3.11 is damaged",
    )
    assert root.problem(core.folder / "absent") == "not there yet"
