"""The Android bundle: complete, true to the artefact, idempotent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from conftest import edgegan
from edgegan.export.parity import run_artefact

from edgegan.files import sha256_file


def test_bundle_holds_what_the_app_needs(finished_run: Path, tmp_path: Path) -> None:
    done = edgegan("bundle", finished_run, "--target", "android", "--into", tmp_path)
    folder = tmp_path / "app/src/main/assets/models/resnet_int8"
    manifest = json.loads((folder / "model.json").read_text())
    assert sha256_file(folder / "model.tflite") == manifest["sha256"]
    assert str(folder / "model.json") in done.stdout
    x = np.frombuffer((folder / "golden/input.f32").read_bytes(), "<f4").reshape(
        manifest["inputs"][0]["shape"]
    )
    y = np.frombuffer((folder / "golden/output.f32").read_bytes(), "<f4").reshape(
        manifest["outputs"][0]["shape"]
    )
    made = run_artefact(folder / "model.tflite", "tflite", x.transpose(0, 3, 1, 2))
    assert np.abs(made.transpose(0, 2, 3, 1) - y).mean() <= manifest["golden"]["max_mean_abs"]
    assert sha256_file(folder / manifest["golden"]["input"]) == manifest["golden"]["input_sha256"]
    assert (folder / "golden/output.png").is_file()
    assert list((tmp_path / "app/src/main/assets/samples").glob("*.jpg"))
    before = sorted(path.name for path in folder.rglob("*"))
    edgegan("bundle", finished_run, "--target", "android", "--into", tmp_path)
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_damaged_artefact_is_not_bundled(finished_run: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "export" / "student_int8.tflite").write_bytes(b"broken")
    done = edgegan("bundle", run, "--into", tmp_path, check=False)
    assert done.returncode == 3
    assert "sha256 differs" in done.stderr
    assert not (tmp_path / "app").exists()


def test_missing_project_is_named(finished_run: Path, tmp_path: Path) -> None:
    done = edgegan("bundle", finished_run, "--into", tmp_path / "none", check=False)
    assert done.returncode == 2
    assert "--into" in done.stderr
