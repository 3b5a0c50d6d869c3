"""A student that is no nearer to its teacher than the untouched input: said by compress, refused by export."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import compress_arguments, edgegan

from edgegan.artefact import Parity, TensorInfo, exported_models
from edgegan.errors import ParityError
from edgegan.export.parity import against_double, check, compare
from edgegan.export.proof import in_double, make_checks
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


def test_float32_may_be_as_far_from_float64_as_pytorch_is() -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 3e4) - 3e4

    inputs = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)
    size = (8, 8)
    info = TensorInfo(name="x", shape=[1, 3, 8, 8], layout="NCHW", colour="rgb", range=(-1.0, 1.0))
    checks = make_checks(Noisy(), [(size, inputs)], info, info)
    found = in_double(Noisy(), checks)
    assert found is not None
    (double,), noise = found
    assert np.array_equal(double.reference, inputs) and 1e-4 < noise < 4e-3
    near = against_double(compare(inputs, double.reference, "fp32"), noise)
    check(near, "fp32", "exact")
    far = against_double(compare(inputs + 0.01, double.reference, "fp32"), noise)
    with pytest.raises(ParityError, match=r"largest difference to PyTorch is 1\.00e-02"):
        check(far, "fp32", "wrong")


def test_advice_of_the_int8_gate_fits_what_is_exported() -> None:
    parity = Parity(inputs=1, max_abs=0.1, psnr_db=29.997, gate="PSNR >= 30 dB")
    for has_teacher in (True, False):
        with pytest.raises(ParityError, match=r"29\.99 dB") as caught:
            check(parity, "int8", "net", has_teacher=has_teacher)
        assert ("--max-drop" in str(caught.value)) == has_teacher


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
