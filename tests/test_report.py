"""The report: true figures, offline, escaped, warned."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import edgegan
from edgegan.benchmarks.record import read_records
from edgegan.benchmarks.report import make_headline, ratio, report, warnings

from edgegan.artefact import exported_models
from edgegan.run import Run


@pytest.fixture(scope="module")
def page(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    edgegan("report", finished_run, "-o", path)
    return path.read_text(encoding="utf-8")


def test_headline_is_computed_from_manifests(finished_run: Path, page: str) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    records = {record.artefact: record for record in read_records(finished_run / "bench")}
    headline = make_headline(models, records, Run.open(finished_run).figures("distill"))
    teacher, student = models["teacher_fp32.tflite"][1], models["student_int8.tflite"][1]
    slow = records["teacher_fp32.tflite"].latency["median_ms"]
    fast = records["student_int8.tflite"].latency["median_ms"]
    assert [item.value for item in headline[:3]] == [
        ratio(teacher.macs / student.macs),
        ratio(teacher.bytes / student.bytes),
        ratio(slow / fast),
    ]
    assert len(headline) == 5
    for item in headline:
        assert f"<b>{item.value}</b>" in page


def test_page_is_self_contained(page: str) -> None:
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert "http" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert page.count("<figure>") == 1
    for name in ("student_fp16.onnx", "teacher_int8.tflite"):
        assert name in page


def test_names_are_escaped(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    manifest = run / "run.json"
    manifest.write_text(
        manifest.read_text().replace(
            '"description": "', '"description": "<script>alert(1)</script>'
        )
    )
    path, _ = report(run)
    assert "<script>alert" not in path.read_text(encoding="utf-8")


def test_warnings_name_what_to_doubt(finished_run: Path) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    quality = {"psnr_to_teacher_db": 20.0, "identity_psnr_db": 19.5}
    found = " ".join(warnings(models, {}, ["student_int8.onnx"], quality))
    assert "Nothing was benched" in found
    assert "benched before it was exported again" in found
    assert "hardly nearer" in found


def test_unfinished_run_is_refused(tmp_path: Path) -> None:
    done = edgegan("report", tmp_path, check=False)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
