"""Figures from samples, the interleaved host bench, runtimes that fail."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.commands import edgegan

from edgegan.benchmarks.record import BenchRecord, read_records
from edgegan.benchmarks.timing import summarise, verdict
from edgegan.deployment.runtimes import LOADERS
from edgegan.errors import DeviceError, InputError, MissingDependency
from edgegan.runtime.session import Session, installed_runtimes


def test_summary_by_hand() -> None:
    figures = summarise([1.0, 2.0, 3.0, 4.0, 100.0])
    assert figures["median_ms"] == 3
    assert figures["min_ms"] == 1
    assert figures["iqr_ms"] == 2
    assert figures["interval_low_ms"] <= 3 <= figures["interval_high_ms"]


def test_drift_is_unstable_and_steady_is_not() -> None:
    chance = np.random.default_rng(0)
    steady = list(10 + chance.normal(0, 0.1, 60))
    slowing = [value * (1.2 if index > 40 else 1.0) for index, value in enumerate(steady)]
    assert verdict(steady)["verdict"] == "STABLE"
    assert verdict(slowing)["verdict"] == "UNSTABLE"
    assert verdict(slowing)["drift"] == pytest.approx(1.2, abs=0.02)


def test_records_of_a_run(finished_run: Path) -> None:
    records = read_records(finished_run / "bench")
    assert len(records) == 12
    for record in records:
        assert record.kind == "measured"
        assert len(record.samples_ms) >= 30
        assert record.latency["median_ms"] == pytest.approx(
            float(np.median(record.samples_ms)), abs=1e-3
        )
        assert record.macs == record.macs_fvcore
        assert math.isfinite(record.drift)
    assert {record.runtime for record in records} == {"litert", "onnxruntime"}


def test_table_and_single_artefact(finished_run: Path, tmp_path: Path) -> None:
    path = finished_run / "export" / "student_int8.tflite"
    done = edgegan("bench", path, "--seconds", "0.1", "-o", tmp_path)
    assert "student_int8.tflite" in done.stdout
    assert len(read_records(tmp_path)) == 1
    again = edgegan("bench", path, "--seconds", "0.1", "-o", tmp_path, "--json", "--threads", "2")
    assert BenchRecord.model_validate(json.loads(again.stdout)[0]).threads == 2


def test_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "host__a.json").write_text('{"kind": "guessed"}')
    with pytest.raises(InputError, match=r"host__a\.json"):
        read_records(tmp_path)


def test_broken_artefact_is_the_runtimes_error(tmp_path: Path) -> None:
    for suffix in ("tflite", "onnx"):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(b"not a model at all")
        with pytest.raises(DeviceError, match="cannot run"), Session(path):
            pass


def test_session_runs_each_item(finished_run: Path) -> None:
    with Session(finished_run / "export" / "student_fp32.onnx") as session:
        x = np.zeros((3, 3, 32, 32), np.float32)
        y = session.run(x)
        assert y.shape == x.shape
        assert np.array_equal(y[0], y[2])
        assert session.load_ms > 0
    assert session.process.poll() is not None


def test_runtimes_are_ordered_and_probed(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed_runtimes(LOADERS[".tflite"].runtimes)[0] == "litert"
    assert installed_runtimes(LOADERS[".onnx"].runtimes) == ["onnxruntime"]
    monkeypatch.setattr(
        "edgegan.runtime.session.installed_runtimes", lambda _: ["tflite-runtime", "litert"]
    )
    with Session(finished_run / "export" / "student_fp32.tflite") as session:
        assert session.runtime == "litert"


def test_absent_runtime_names_the_extra(finished_run: Path) -> None:
    with (
        pytest.raises(MissingDependency, match=r"edgegan\[tflite-runtime\]"),
        Session(finished_run / "export" / "student_fp32.tflite", runtime="tflite-runtime"),
    ):
        pass


def test_a_board_needs_no_torch(finished_run: Path, pictures: Path, tmp_path: Path) -> None:
    """bench, run and report work where torch cannot be imported."""
    block = "import sys; sys.modules['torch'] = None; from edgegan.cli import main; sys.argv = ['edgegan', *{}]; main()"
    artefact = str(finished_run / "export" / "student_int8.tflite")
    for arguments in (
        ["bench", artefact, "--seconds", "0.1", "-o", str(tmp_path / "bench")],
        ["run", artefact, str(pictures), "-o", str(tmp_path / "out")],
        ["report", str(finished_run), "-o", str(tmp_path / "report.html")],
    ):
        done = subprocess.run(
            [sys.executable, "-c", block.format(arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
