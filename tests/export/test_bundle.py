"""The Android bundle: complete, true to the artefact, idempotent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.commands import edgegan

from edgegan.artefact import read_model
from edgegan.errors import DeviceError, InputError, IntegrityError, MissingDependency
from edgegan.export.bundle import check_readable
from edgegan.export.npm import Package, fetch
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
    made = run_artefact(folder / "model.tflite", "NHWC", x.transpose(0, 3, 1, 2))
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


def test_several_models_then_removed(finished_run: Path, tmp_path: Path) -> None:
    """Precisions and the teacher side by side, another run beside them; --remove leaves the other run."""
    more = ["--precision", "int8", "--precision", "fp32", "--teacher"]
    edgegan("bundle", finished_run, "--into", tmp_path, *more)
    edgegan("bundle", finished_run, "--into", tmp_path, "--name", "second")
    assets = tmp_path / "app/src/main/assets"
    index = json.loads((assets / "models/index.json").read_text())
    first = ["resnet_fp32", "resnet_int8", "resnet_teacher_fp32"]
    assert index["models"] == [*first, "second_int8"]
    assert "samples/second_0.jpg" in index["samples"]
    assert all((assets / "licenses" / f"{name}.txt").is_file() for name in index["models"])
    student = json.loads((assets / "models/resnet_int8/model.json").read_text())
    assert student["parent"] == "resnet_teacher_fp32"
    edgegan("bundle", finished_run, "--into", tmp_path, "--remove")
    index = json.loads((assets / "models/index.json").read_text())
    assert index["models"] == ["second_int8"]
    assert sorted(path.name for path in (assets / "models").iterdir()) == [
        "index.json",
        "second_int8",
    ]
    assert all("second" in name for name in index["samples"])
    done = edgegan("bundle", finished_run, "--into", tmp_path, "--remove", check=False)
    assert done.returncode == 2 and "holds no model of resnet" in done.stderr


def test_a_run_without_pictures_is_not_bundled(finished_run: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "stages/teacher_cache/validation_input.npy").unlink()
    done = edgegan("bundle", run, "--into", tmp_path, check=False)
    assert done.returncode == 2 and "no golden tensors can be made" in done.stderr
    assert not (tmp_path / "app/src/main/assets/models").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "NCHW"}, "with layout NCHW"),
        ({"shape": [2, 32, 32, 3]}, "of shape [2, 32, 32, 3]"),
        ({"shape": [1, 32, 32, 4]}, "4 channels of colour rgb"),
        ({"colour": "other"}, "colour other"),
        ({"shape": [1, 16, 32, 3]}, "makes 32x32 of 32x16, but its manifest says enlarges 1/1"),
    ],
)
def test_what_the_app_cannot_read_is_refused(
    finished_run: Path, change: dict[str, object], message: str
) -> None:
    path = finished_run / "export/student_int8.tflite"
    model = read_model(path)
    other = model.model_copy(update={"inputs": [model.inputs[0].model_copy(update=change)]})
    check_readable(model, path)
    with pytest.raises(InputError, match="enlarges 2/1"):
        check_readable(model.model_copy(update={"enlarges": (2, 1)}), path)
    with pytest.raises(InputError, match=re.escape(message)):
        check_readable(other, path)
    with pytest.raises(InputError, match="2 inputs"):
        check_readable(model.model_copy(update={"inputs": model.inputs * 2}), path)


def test_a_foreign_folder_is_not_made_a_page(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = edgegan("bundle", finished_run, "--target", "web", "-o", tmp_path, check=False)
    assert done.returncode == 2 and "was not written by edgegan" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_other_bytes_from_npm_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named npm that delivers something else, fails, or is not there."""
    package = Package("@some/thing", "1.0.0", "0" * 64)
    monkeypatch.setenv("EDGEGAN_CACHE", str(tmp_path / "cache"))
    fake = tmp_path / "npm"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake.write_text("#!/bin/sh\necho other > some-thing-1.0.0.tgz\n")
    fake.chmod(0o755)
    with pytest.raises(IntegrityError, match="delivered other bytes"):
        fetch(package, download=True)
    assert not list((tmp_path / "cache").rglob("*.tgz"))
    fake.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    with pytest.raises(DeviceError, match="no network"):
        fetch(package, download=True)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(MissingDependency, match="apt-get install npm"):
        fetch(package, download=True)
