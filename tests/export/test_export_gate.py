"""A student that is no nearer to its teacher than the untouched input: said by compress, refused by export."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from support.commands import compress_arguments, edgegan

from edgegan.artefact import exported_models
from edgegan.metrics.gain import no_gain


@pytest.mark.parametrize(
    ("student", "untouched", "wrong"),
    [(20.0, 19.9, False), (20.0, 20.0, True), (20.0, 21.0, True), (20.0, math.inf, True)],
)
def test_gain_is_a_comparison(student: float, untouched: float, wrong: bool) -> None:
    found = no_gain({"psnr_to_teacher_db": student, "identity_psnr_db": untouched})
    assert (found is not None) == wrong
    assert no_gain({"psnr_to_teacher_db": student}) is None  # labels and noise are no pictures
    assert no_gain({}) is None


def test_compress_says_so(resnet_checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    arguments = compress_arguments(
        resnet_checkpoint, pictures, tmp_path / "run", "distill.steps=1", "distill.warmup=0"
    )
    done = edgegan(*arguments, "--json")
    found = json.loads(done.stdout)
    assert found["psnr_to_teacher_db"] <= found["identity_psnr_db"]
    (warning,) = found["warnings"]
    assert warning.startswith("the student is not nearer to its teacher than the untouched input")
    assert f"warning: {warning}; train longer" in done.stderr
    refused = edgegan("export", tmp_path / "run", check=False)
    assert refused.returncode == 3
    assert f"{found['psnr_to_teacher_db']:.2f} dB against" in refused.stderr
    assert "--force" in refused.stderr
    assert not (tmp_path / "run/export").exists()


def test_export_refuses_until_forced(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    manifest = json.loads((run / "run.json").read_text())
    figures = manifest["stages"]["student"]["figures"]
    assert figures["psnr_to_teacher_db"] > figures["identity_psnr_db"]
    figures["identity_psnr_db"] = figures["psnr_to_teacher_db"]
    (run / "run.json").write_text(json.dumps(manifest))
    before = exported_models(run / "export")
    refused = edgegan("export", run, "--overwrite", check=False)
    assert refused.returncode == 3 and len(refused.stderr.splitlines()) == 1
    assert exported_models(run / "export") == before
    assert "up to date" in edgegan("export", run, "--which", "teacher").stderr
    forced = edgegan("export", run, "--force")
    assert "kept, as --force asks" in forced.stderr
