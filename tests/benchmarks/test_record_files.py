"""Records on disk: threads tell them apart, and a steady one is not lost to an unsteady one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import edgegan

from edgegan.artefact import exported_models
from edgegan.benchmarks.record import BenchRecord, read_records
from edgegan.benchmarks.record_files import write_records
from edgegan.benchmarks.reporting.headline import make_headline
from edgegan.benchmarks.reporting.verdicts import warning_texts
from edgegan.errors import InputError

QUALITY = {"psnr_to_teacher_db": 20.0, "ssim_to_teacher": 0.9, "validation_images": 1}


def record_of(run: Path, artefact: str, **changes: object) -> BenchRecord:
    """A steady record of one artefact, with changes."""
    steady = {"verdict": "STABLE", "reasons": []}
    records = {record.artefact: record for record in read_records(run / "bench")}
    return records[artefact].model_copy(update={**steady, **changes})


def test_every_number_of_threads_has_its_file(finished_run: Path, tmp_path: Path) -> None:
    one = record_of(finished_run, "student_int8.tflite")
    two = one.model_copy(update={"threads": 2})
    write_records(tmp_path, [one])
    write_records(tmp_path, [two])
    write_records(tmp_path, [one, two])
    assert {path.name for path in tmp_path.glob("*.json")} == {
        "host__student_int8.tflite.json",
        "host__student_int8.tflite__2threads.json",
    }
    earlier = tmp_path / "host__student_int8.tflite__1threads.json"
    (tmp_path / "host__student_int8.tflite.json").rename(earlier)
    write_records(tmp_path, [one])  # the name that a sweep gave before
    assert not earlier.exists()
    assert sorted(record.threads for record in read_records(tmp_path)) == [1, 2]


def test_a_steady_record_stays(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steady = record_of(finished_run, "student_int8.tflite")
    shaky = steady.model_copy(update={"verdict": "UNSTABLE", "reasons": ["the clock fell"]})
    assert len(write_records(tmp_path, [shaky])) == 1  # nothing was there to lose
    assert len(write_records(tmp_path, [steady])) == 1
    assert write_records(tmp_path, [shaky]) == []
    told = capsys.readouterr().err
    assert "UNSTABLE now (the clock fell)" in told and "--overwrite" in told
    assert [record.verdict for record in read_records(tmp_path)] == ["STABLE"]
    other_bytes = shaky.model_copy(update={"sha256": "0" * 64})
    two_threads = shaky.model_copy(update={"threads": 2})
    assert len(write_records(tmp_path, [two_threads])) == 1
    assert len(write_records(tmp_path, [shaky], overwrite=True)) == 1
    write_records(tmp_path, [steady])
    assert len(write_records(tmp_path, [other_bytes])) == 1  # of an artefact that is gone
    (tmp_path / "host__student_int8.tflite.json").write_text("{")
    assert len(write_records(tmp_path, [shaky])) == 1


def test_the_headline_says_what_is_unsteady(finished_run: Path) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    slow = record_of(finished_run, "teacher_fp32.tflite")
    fast = record_of(finished_run, "student_int8.tflite")
    shaky = {"verdict": "UNSTABLE", "reasons": ["the clock fell"]}

    def faster(*records: BenchRecord) -> tuple[str, str]:
        found = make_headline(models, {record.artefact: record for record in records}, QUALITY)
        (line,) = [each for each in found if each.label == "faster, measured"]
        return line.value, line.detail

    assert "UNSTABLE" not in " ".join(faster(slow, fast))
    value, detail = faster(slow, fast.model_copy(update=shaky))
    assert value.endswith("x UNSTABLE")
    assert detail.startswith("student_int8.tflite is UNSTABLE (the clock fell); ")
    value, detail = faster(slow.model_copy(update=shaky), fast)
    assert detail.startswith("teacher_fp32.tflite is UNSTABLE (the clock fell); ")
    everything = [
        record.model_copy(update=shaky) for record in read_records(finished_run / "bench")
    ]
    (text,) = [
        t for t in warning_texts(models, everything, [], QUALITY) if t.startswith("Unsteady")
    ]
    named = [each.split()[-1] for each in text.split(" UNSTABLE")[:2]]
    assert set(named) == {"teacher_fp32.tflite", "student_int8.tflite"}


def test_a_student_no_nearer_than_its_input_is_told_rightly(finished_run: Path) -> None:
    models = {model.file: (path, model) for path, model in exported_models(finished_run / "export")}
    worse = {**QUALITY, "identity_psnr_db": 20.5}
    (text,) = [t for t in warning_texts(models, [], [], worse) if "untouched" in t]
    assert text.startswith("The student is not nearer to its teacher than the untouched input")
    assert "20.00 dB against 20.50 dB" in text
    (line,) = [h for h in make_headline(models, {}, worse) if h.label == "PSNR to teacher"]
    assert "untouched input 20.50 dB is as near or nearer" in line.detail
    better = {**QUALITY, "identity_psnr_db": 12.0}
    assert not [t for t in warning_texts(models, [], [], better) if "untouched" in t]


def test_the_command_asks_before_it_replaces(finished_run: Path, tmp_path: Path) -> None:
    artefact = finished_run / "export" / "student_int8.tflite"
    arguments = ["bench", artefact, "--seconds", "0.1", "--no-peak", "-o", tmp_path]
    edgegan(*arguments, "--threads", "2")
    edgegan(*arguments, "--overwrite")
    assert sorted(record.threads for record in read_records(tmp_path)) == [1, 2]


@pytest.mark.parametrize("kind", [["measured"], {}, 1, "guessed"])
def test_a_record_of_no_kind_is_named(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "host__student_int8.tflite.json"
    path.write_text(json.dumps({"kind": kind}))
    with pytest.raises(
        InputError, match=r"host__student_int8\.tflite\.json: kind is .*edgegan bench"
    ):
        read_records(tmp_path)
