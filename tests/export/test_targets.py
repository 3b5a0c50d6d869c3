"""Targets as objects, artefacts of several files, and what manifests say in place of names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.bad_inputs import make_artefact

from edgegan.artefact import (
    PRECISIONS,
    ModelManifest,
    check_artefact,
    combined_hash,
    exported_models,
    files_of,
    find_exported,
    is_artefact,
    loading,
    parent_of,
    read_model,
)
from edgegan.deployment.runtimes import LOADERS, RUNTIMES
from edgegan.errors import ConfigError, DeviceError, InputError, IntegrityError
from edgegan.export.artefact_files import move_artefact
from edgegan.export.keeping import describe_files, is_current, keep
from edgegan.export.parity import GATES
from edgegan.export.targets import DEFAULT_TARGETS, TARGETS
from edgegan.files import sha256_bytes, sha256_json
from edgegan.runtime.session import Session


def model_of(folder: Path, **changes: Any) -> ModelManifest:
    """The manifest of the tiny .onnx of `make_artefact`, changed."""
    about = json.loads((folder / "student_fp32.onnx.model.json").read_text())
    return ModelManifest.model_validate({**about, **changes})


def make_folder_artefact(folder: Path) -> tuple[Path, ModelManifest]:
    """An artefact of two files in a folder, kept beside the tiny .onnx; returns it with its manifest."""
    make_artefact(folder)
    made = folder / "work" / "fp32.toy"
    (made / "inner").mkdir(parents=True)
    (made / "model.onnx").write_bytes((folder / "student_fp32.onnx").read_bytes())
    (made / "inner/note").write_bytes(b"hello")
    files = describe_files(made, "teacher_fp32.toy")
    model = model_of(
        folder,
        file="teacher_fp32.toy",
        role="teacher",
        target="toy",
        files=files,
        entry="teacher_fp32.toy/model.onnx",
        runs_in=["onnxruntime"],
        sha256=combined_hash(files),
        bytes=sum(info.bytes for info in files.values()),
    )
    keep(made, folder, model, {"package": "x"})
    return folder / "teacher_fp32.toy", model


def test_the_table_is_read_without_heavy_packages() -> None:
    """Commands check --target by it before anything else is imported."""
    code = "import sys, edgegan.export.targets as t; print(*t.TARGETS, *sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = told.stdout.split()
    assert words[:2] == ["onnx", "tflite"]
    assert not {"torch", "numpy", "pydantic", "onnx"} & set(words[2:])


def test_every_target_says_what_the_others_rely_on() -> None:
    assert set(DEFAULT_TARGETS) <= set(TARGETS)
    suffixes = [target.suffix for target in TARGETS.values()]
    assert len(set(suffixes)) == len(suffixes)
    for name, target in TARGETS.items():
        assert target.name == name and target.layout in ("NHWC", "NCHW")
        assert set(target.runtimes) <= set(RUNTIMES)
        assert set(target.precisions) <= set(PRECISIONS)
        assert target.file_name("student", "int8") == f"student_int8{target.suffix}"
        with pytest.raises(ConfigError, match="--precision int4"):
            target.check_precision("int4")
    for loader in LOADERS.values():
        assert TARGETS[loader.target].runtimes == loader.runtimes


def test_an_artefact_may_be_a_folder(tmp_path: Path) -> None:
    path, model = make_folder_artefact(tmp_path / "export")
    assert path.is_dir() and is_artefact(path)
    assert list(files_of(path)) == ["teacher_fp32.toy/inner/note", "teacher_fp32.toy/model.onnx"]
    assert model.bytes == 5 + (path / "model.onnx").stat().st_size
    listed = {name: info.sha256 for name, info in model.files.items()}
    assert listed["teacher_fp32.toy/inner/note"] == sha256_bytes(b"hello")
    assert model.sha256 == sha256_json(listed)
    assert read_model(path) == model
    check_artefact(path, model)
    found = find_exported(path.parent, role="teacher", precision="fp32", target="toy")
    assert found == (path, model)
    assert find_exported(path.parent, role="teacher", precision="int8", target="toy") is None
    assert is_current(path.parent, path.name, {"package": "x"})
    how = loading(path)
    assert (how.target, how.entry, how.runtimes) == ("toy", path / "model.onnx", ("onnxruntime",))
    (path / "inner/note").write_bytes(b"other")
    assert not is_current(path.parent, path.name, {"package": "x"})
    with pytest.raises(IntegrityError, match="note is not the file"):
        exported_models(path.parent)


def test_a_folder_runs_here_and_nowhere_else(tmp_path: Path) -> None:
    path, _ = make_folder_artefact(tmp_path / "export")
    with Session(path) as session:
        assert session.runtime == "onnxruntime"
    board: Any = SimpleNamespace(runtimes=list)
    with pytest.raises(DeviceError, match="runs on this machine only"):
        Session(path, place=board)


def test_a_folder_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    move_artefact(tmp_path / "new", tmp_path / "old")
    assert [each.name for each in tmp_path.rglob("*")] == ["old", "new"]


def test_an_unknown_target_is_never_taken_for_a_known_one(tmp_path: Path) -> None:
    """The manifest counts, not the suffix."""
    folder = tmp_path / "export"
    make_artefact(folder)
    path, about = folder / "student_fp32.onnx", folder / "student_fp32.onnx.model.json"
    assert loading(path).runtimes == ("onnxruntime",)  # an older manifest: by suffix
    about.write_text(model_of(folder, target="hexagon").model_dump_json())
    with pytest.raises(InputError, match="names no runtime that loads a hexagon artefact"):
        loading(path)
    about.unlink()
    assert loading(path).target == "onnx"
    with pytest.raises(InputError, match="is not an artefact"):
        loading(path.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"entry": "../evil.onnx"}, "lies outside the folder"),
        ({"entry": "/evil.onnx"}, "lies outside the folder"),
        ({"files": {"a/../../b": {"sha256": "0" * 64, "bytes": 1}}}, "lies outside the folder"),
        ({"runs_in": ["shell"]}, "is not a runtime"),
    ],
)
def test_a_manifest_cannot_lead_elsewhere(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    make_artefact(tmp_path / "export")
    with pytest.raises(ValueError, match=reason):
        model_of(tmp_path / "export", **changes)


def test_parents_are_found_by_id_and_in_older_manifests_by_file(tmp_path: Path) -> None:
    make_artefact(tmp_path / "export")
    teachers = [
        (Path(f"teacher_fp32.{target}"), model_of(tmp_path / "export", **about))
        for target in ("onnx", "tflite")
        for about in [{"id": "t", "file": f"teacher_fp32.{target}", "target": target}]
    ]
    for parent in ("t", "teacher_fp32.tflite"):
        student = model_of(tmp_path / "export", parent=parent, target="tflite")
        assert parent_of(student, teachers) == teachers[1]
    assert parent_of(model_of(tmp_path / "export", parent=None), teachers) is None
    assert parent_of(model_of(tmp_path / "export", parent="u"), teachers) is None


def test_gates_are_figures_and_words_of_the_same() -> None:
    assert (GATES["fp32"].metric, GATES["fp32"].limit) == ("max_abs", 1e-4)
    assert str(GATES["fp32"]) == "max abs <= 0.0001"
    assert (GATES["int8"].metric, GATES["int8"].limit) == ("psnr_db", 30.0)
    assert str(GATES["int8"]) == "PSNR >= 30 dB"
