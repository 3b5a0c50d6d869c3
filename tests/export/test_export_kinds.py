"""Label maps, noise, several sizes and random nets through the exporter."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import SIZE, edgegan

from edgegan.artefact import read_model
from edgegan.data.images import read_image
from edgegan.errors import InputError
from edgegan.export.flatbuffer import read_operations
from edgegan.export.sources import run_sources
from edgegan.export.to_tflite import pad_channel_last
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.packaging import store
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.zoo import build
from edgegan.runtime.apply import Generator, apply_generator, open_generator, read_input
from edgegan.tensors import example_input


def package(folder: Path, family: str, spec: SpadeSpec | SnganSpec, size: tuple[int, int]) -> Path:
    torch.manual_seed(0)
    module = build(family, spec).eval()
    folder.mkdir()
    about = {"name": family, "source": {"changes": []}, "licence": "unstated"}
    store(folder, family, spec, module, size, about, None)
    return folder


def test_label_map_to_picture(tmp_path: Path) -> None:
    """Class numbers go in as bytes, bytes come out; the artefact's pictures are the package's to a level."""
    spec = SpadeSpec.from_ngf(1, classes=5, upsampling="normal")
    folder = package(tmp_path / "spade", "spade", spec, (32, 32))
    output = tmp_path / "out"
    options = ["--target", "tflite", "--precision", "fp32", "--io", "uint8"]
    edgegan("export", folder, "-o", output, *options)
    model = read_model(output / "teacher_fp32.tflite")
    assert model.task == "labels-to-image"
    assert (model.inputs[0].dtype, model.inputs[0].shape) == ("uint8", [1, 32, 32, 2])
    assert model.outputs[0].dtype == "uint8"
    assert example_input(model).shape == (1, 32, 32, 2)
    labels = np.kron(np.arange(4).reshape(2, 2), np.ones((16, 20), np.uint8)).astype(np.uint8)
    Image.fromarray(labels, "L").save(tmp_path / "labels.png")
    with open_generator(folder, 1) as inside, open_generator(output / model.file, 1) as outside:
        for fit in ("tile", "resize"):
            x = read_input(outside, tmp_path / "labels.png")
            assert x.shape == (6, 32, 40)
            made = apply_generator(outside, x, fit)
            assert made.shape == (3, 32, 40)
        whole = read_input(inside, tmp_path / "labels.png")[:, :, :32]
        assert np.abs(inside.call(whole) - outside.call(whole)).max() <= 1.51 / 127.5
    Image.fromarray(labels + 9, "L").save(tmp_path / "wrong.png")
    refused = edgegan("run", folder, tmp_path / "wrong.png", "-o", tmp_path / "x", check=False)
    assert refused.returncode == 2
    assert "wrong.png" in refused.stderr and "class 12" in refused.stderr


def test_noise_to_picture(tmp_path: Path) -> None:
    """The same seed draws the same pictures from the package and from its artefact."""
    spec = SnganSpec(latent=8, stem=8, width=(8,), inner=(8,))
    folder = package(tmp_path / "sngan", "sngan", spec, (8, 8))
    output = tmp_path / "out"
    edgegan("export", folder, "-o", output, "--target", "onnx", "--precision", "fp32")
    model = read_model(output / "teacher_fp32.onnx")
    assert (model.task, model.inputs[0].shape) == ("noise-to-image", [1, 8])
    assert model.parity.runtimes["onnxruntime"] > 110
    for source, name in ((folder, "a"), (output / model.file, "b")):
        edgegan("run", source, "-o", tmp_path / name, "--count", "2", "--seed", "3")
    for number in range(2):
        pixels = [
            read_image(tmp_path / name / f"seed3_{number:03d}.png").astype(int) for name in "ab"
        ]
        assert pixels[0].shape == (8, 8, 3)
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
    edgegan("bench", output, "--seconds", "0.1")
    refused = edgegan("export", folder, "-o", tmp_path / "no", "--dynamic", check=False)
    assert refused.returncode == 2
    assert "leave --dynamic out" in refused.stderr


def test_several_sizes(tmp_path: Path, finished_run: Path, pictures: Path) -> None:
    """One .tflite with two signatures, one .onnx of any size, each right at both."""
    sizes = ["--size", str(SIZE), "--size", "40x48"]
    output = tmp_path / "out"
    options = ["--which", "student", "--precision", "fp32", "--calibration", pictures]
    edgegan("export", finished_run, "-o", output, *sizes, *options)
    tflite = read_model(output / "student_fp32.tflite")
    assert tflite.signatures == ["serving_default", "size_40x48"]
    onnx = read_model(output / "student_fp32.onnx")
    assert onnx.inputs[0].shape == [1, 3, -1, -1]
    assert (onnx.size_multiple, onnx.sizes) == (4, [(32, 32), (40, 48)])
    x = np.random.default_rng(0).uniform(-1, 1, (3, 40, 48)).astype(np.float32)
    with open_generator(finished_run, 1) as whole:
        expected = whole.call(x)
    for model in (tflite, onnx):
        with open_generator(output / model.file, 1, (40, 48)) as generator:
            assert np.abs(generator.call(x) - expected).max() < 1e-4
    both = (output / "student_fp32.tflite").stat().st_size
    assert both < 1.5 * (finished_run / "export" / "student_fp32.tflite").stat().st_size


def test_noise_generator_takes_no_pictures(tmp_path: Path, pictures: Path) -> None:
    folder = package(
        tmp_path / "sngan", "sngan", SnganSpec(latent=8, stem=8, width=(8,), inner=(8,)), (8, 8)
    )
    refused = edgegan("run", folder, pictures, "-o", tmp_path / "x", check=False)
    assert refused.returncode == 2
    assert "--count" in refused.stderr


def test_scaling_label_maps_draws_borders_anew() -> None:
    from edgegan.runtime.apply import scale_input

    generator = Generator(lambda x: x, 3, (4, 4), kind="label_map", classes=2, instance_edge=True)
    x = np.zeros((3, 8, 8), np.float32)
    x[0, :, :4] = x[1, :, 4:] = 1
    scaled = scale_input(generator, x, (4, 4))
    assert scaled[2].tolist() == [[0, 1, 1, 0]] * 4


def test_channel_last_padding_needs_no_transpose(tmp_path: Path) -> None:
    """What litert-torch learns from us: a transposed convolution behind a norm pads where it is."""
    spec = CartoonSpec().scaled(0.125, 8, block="separable", norm="instance_affine")
    folder = tmp_path / "cartoon"
    torch.manual_seed(0)
    folder.mkdir()
    about = {"name": "cartoon", "source": {"changes": []}, "licence": "unstated"}
    store(folder, "cartoon", spec, build("cartoon", spec).eval(), (32, 32), about, None)
    options = ["--target", "tflite", "--precision", "fp32"]
    edgegan("export", folder, "-o", tmp_path / "out", *options)
    kinds = [each.kind for each in read_operations(tmp_path / "out" / "teacher_fp32.tflite")]
    assert "TRANSPOSE" not in kinds and kinds.count("DEPTH_TO_SPACE") == 3


def test_padding_rule_by_hand() -> None:
    x = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    for pad in ([1, 2], [1, 2, 3, 0], [0, 1, 2, 3, 1, 0], [1, 0, 0, 2, 0, 1, 1, 1]):
        expected = torch.nn.functional.pad(x, pad, value=7.0).permute(0, 2, 3, 1)
        assert torch.equal(pad_channel_last(x.permute(0, 2, 3, 1), pad, 7.0), expected)


def test_a_run_without_its_crops_asks_for_pictures(
    tmp_path: Path, finished_run: Path, pictures: Path
) -> None:
    """Shared runs come without `stages`: they are exported on pictures that are given."""
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("stages"))
    with pytest.raises(InputError, match=r"train_input\.npy is missing: .*--calibration DIR"):
        run_sources(run, "both", (), None)
    student, teacher = run_sources(run, "both", (), pictures)
    assert student.teacher_outputs is None
    assert len(student.images) and len(teacher.images)
