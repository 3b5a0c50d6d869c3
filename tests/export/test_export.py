"""Artefacts of real conversions: proved, described, resumable, refused when wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.alone import start_command
from support.commands import SIZE, edgegan

from edgegan.artefact import PRECISIONS, exported_models, read_model
from edgegan.errors import IntegrityError, ParityError
from edgegan.export.parity import check, check_drop, compare, run_artefact
from edgegan.export.targets import TARGETS
from edgegan.files import sha256_file
from edgegan.models.zoo import load_generator
from edgegan.package import read_tensors

NAMES = [f"{role}_{p}.{t}" for role in ("student", "teacher") for t in TARGETS for p in PRECISIONS]


@pytest.mark.parametrize("name", NAMES)
def test_artefact_equals_pytorch(finished_run: Path, name: str) -> None:
    path = finished_run / "export" / name
    model = read_model(path)
    config, module = load_generator(finished_run / model.role)
    golden = read_tensors(finished_run / model.role, config, "golden.safetensors")
    with torch.inference_mode():
        assert torch.allclose(module(golden["input"][:1]), golden["output"][:1], atol=1e-6)
    output = run_artefact(path, model.inputs[0].layout, golden["input"].numpy())
    parity = compare(output, golden["output"].numpy(), model.precision)
    check(parity, model.precision, name)
    assert model.parity.gate == parity.gate
    limit = {"fp32": 100, "fp16": 60, "int8": 30}[model.precision]
    assert model.parity.psnr_db >= limit


def test_manifest_says_what_was_quantised(finished_run: Path) -> None:
    dynamic = read_model(finished_run / "export" / "student_int8.tflite")
    assert dynamic.quantization == "dynamic-int8"
    assert dynamic.computed_in["dynamic_int8"] == dynamic.operations["CONV_2D"]
    assert dynamic.inputs[0].shape == [1, SIZE, SIZE, 3]
    assert "MIRROR_PAD" not in dynamic.operations
    static = read_model(finished_run / "export" / "student_int8.onnx")
    assert static.quantization == "static-int8"
    assert static.computed_in["int8"] > 0
    assert static.calibration
    assert static.complexity["macs"] == static.complexity["macs_fvcore"] == static.macs


def test_batch_norm_student_is_int8_throughout(tmp_path: Path, pictures: Path) -> None:
    """Package export with --calibration: every operation but the image's own quantisation is int8."""
    from edgegan.models.packaging import GOLDEN_COUNT, card, golden_images
    from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
    from edgegan.models.zoo import count_parameters, make_golden
    from edgegan.package import write_package

    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(8, 2, block="separable", norm="batch")
    module = ResnetGenerator(spec).train()
    with torch.no_grad():
        for _ in range(20):
            module(torch.rand(4, 3, SIZE, SIZE) * 2 - 1)
    module.eval()
    package = tmp_path / "package"
    package.mkdir()
    golden = make_golden(module, golden_images(GOLDEN_COUNT, (SIZE, SIZE), 3))
    config = {"family": "resnet", "spec": spec.model_dump(mode="json"), "size": (SIZE, SIZE)}
    config |= {"role": "student", "parameters": count_parameters(module)}
    write_package(
        package, config, module.state_dict(), golden, card("x", "resnet", 1, "unstated", [])
    )
    refused = edgegan("export", package, "-o", tmp_path / "no", "--target", "tflite", check=False)
    assert refused.returncode == 2
    assert "--calibration" in refused.stderr
    edgegan(
        "export",
        package,
        "-o",
        tmp_path / "out",
        "--target",
        "tflite",
        "--precision",
        "int8",
        "--calibration",
        pictures,
    )
    model = read_model(tmp_path / "out" / "student_int8.tflite")
    assert model.quantization == "static-int8"
    assert model.computed_in["float"] == 0
    assert model.parity.psnr_db > 30


def test_second_export_is_up_to_date(finished_run: Path) -> None:
    before = {
        path.name: path.stat().st_mtime_ns for path, _ in exported_models(finished_run / "export")
    }
    done = edgegan("export", finished_run)
    assert done.stderr.count("up to date") == 4
    assert {
        path.name: path.stat().st_mtime_ns for path, _ in exported_models(finished_run / "export")
    } == before


def test_export_killed_goes_on_to_the_same_files(tmp_path: Path, finished_run: Path) -> None:
    package, output = finished_run / "student", tmp_path / "out"
    arguments = ["export", package, "-o", output, "--precision", "fp32", "--precision", "fp16"]
    process = start_command(arguments, tmp_path / "log")
    deadline = time.monotonic() + 120
    while not (output / "student_fp16.onnx").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.kill()
    process.join()
    edgegan(*arguments)
    assert not list(output.glob(".convert-*"))
    names = [name for name in NAMES if name.startswith("student") and "int8" not in name]
    for name in names:
        assert sha256_file(output / name) == sha256_file(finished_run / "export" / name), name


def test_damaged_artefact_is_refused_then_rebuilt(tmp_path: Path, finished_run: Path) -> None:
    output = tmp_path / "out"
    arguments = [
        "export",
        finished_run / "student",
        "-o",
        output,
        "--target",
        "onnx",
        "--precision",
        "fp32",
    ]
    edgegan(*arguments)
    path = output / "student_fp32.onnx"
    whole = sha256_file(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IntegrityError):
        exported_models(output)
    edgegan(*arguments)
    assert sha256_file(path) == whole


def test_gates_name_figure_and_limit() -> None:
    reference = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(ParityError, match=r"2\.00e-04, the gate is 0\.0001"):
        check(compare(reference + 2e-4, reference, "fp32"), "fp32", "x")
    level = np.full_like(reference, 2 / 255)  # a byte may be half a level from what it stands for
    check(compare(level, level, "fp32", level * 0.51), "fp32", "x")
    with pytest.raises(ParityError, match=r"e-03, the gate is 0\.0001"):
        check(compare(level, level, "fp32", level * 0.2), "fp32", "x")
    with pytest.raises(ParityError, match=r"19\.99 dB, the gate is 30 dB"):
        check(compare(reference + 0.2, reference, "int8"), "int8", "x")
    with pytest.raises(ParityError, match=r"1\.50 dB below"):
        check_drop("x", 18.5, 20.0)
    assert ParityError("").exit_code == 3


def test_export_json_names_versions_and_command(finished_run: Path) -> None:
    content = json.loads((finished_run / "export" / "export.json").read_text())
    assert content["command"].startswith("edgegan export")
    assert content["environment"]["versions"]["torch"]
    assert set(content["artefacts"]) == set(NAMES)


def test_another_size_is_proved_on_given_images(
    tmp_path: Path, finished_run: Path, pictures: Path
) -> None:
    """A run exported at a size that is neither its own nor its teacher's default."""
    arguments = [
        "export",
        finished_run,
        "-o",
        tmp_path / "out",
        "--size",
        "48x40",
        "--target",
        "onnx",
    ]
    refused = edgegan(*arguments, check=False)
    assert refused.returncode == 2
    assert "--calibration" in refused.stderr
    edgegan(*arguments, "--precision", "fp32", "--calibration", pictures)
    for role in ("student", "teacher"):
        model = read_model(tmp_path / "out" / f"{role}_fp32.onnx")
        assert model.inputs[0].shape == [1, 3, 48, 40]
        output = run_artefact(
            tmp_path / "out" / model.file, "NCHW", np.zeros((1, 3, 48, 40), np.float32)
        )
        assert output.shape == (1, 3, 48, 40)
    refused = edgegan("export", finished_run, "-o", tmp_path / "odd", "--size", "50", check=False)
    assert refused.returncode == 2
    assert "multiples of 4" in refused.stderr


def test_teacher_is_exported_at_the_runs_size(finished_run: Path) -> None:
    assert read_model(finished_run / "export" / "teacher_fp32.tflite").inputs[0].shape == [
        1,
        SIZE,
        SIZE,
        3,
    ]
