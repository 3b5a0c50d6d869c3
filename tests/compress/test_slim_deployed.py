"""Simulated equals deployed: int8 in training against LiteRT and ONNX Runtime, on a net with one block gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from support.int8_products import need_exact
from torch import nn

from edgegan.artefact import read_model
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.slimming.deployed import (
    ImageOnly,
    bake,
    calibrate,
    learned_ends,
    ranges_of,
    simulate,
)
from edgegan.compress.slimming.int8_layers import QuantizedConvolution, Scheme
from edgegan.compress.slimming.narrow import begin, finished, narrow
from edgegan.data.images import read_image, to_float, write_image
from edgegan.data.procedural import draw_pair
from edgegan.export.exporter import export
from edgegan.export.policy import Int8Options
from edgegan.export.request import ExportOptions
from edgegan.models.packaging import card, golden_images
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build, describe_io, make_golden
from edgegan.package import LearnedEnds, write_package
from edgegan.runtime.session import Session
from edgegan.training.freeze import measure_statistics

SIDE = 64
STEP = 2 / 255


@pytest.fixture
def student() -> tuple[ResnetSpec, nn.Module]:
    """Random weights; of two blocks one is gone. The head is tame: runtimes and PyTorch round the last bit of a float
    differently, one value in ten thousand then falls on the other side of an int8 step, and layer by layer that grows
    to the size of the quantization noise itself, which must stay below a step of the output."""
    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(8, 2, norm="instance_affine", block="separable")
    module = build("resnet", spec).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.5, 1.0)
            elif "norm" in name:
                parameter.uniform_(-0.2, 0.2)
            elif name.startswith("head"):
                parameter.mul_(0.2)
    x = torch.randn(1, 3, 32, 32)
    start = begin(module, x)
    graph = start.graph
    keep = {group.name: torch.arange(group.size) for group in graph.free()}
    keep["blocks.0.conv1.pointwise"] = torch.arange(0)
    keep["stem"] = torch.tensor([0, 1, 2, 4, 5, 7])
    final, whole = finished(spec, graph, narrow(start, keep, x)[0])
    assert isinstance(final, ResnetSpec) and final.inner == (32,)
    return final, whole


def learn_steps(
    module: nn.Module, x: torch.Tensor, scheme: Scheme
) -> tuple[torch.Tensor, list[LearnedEnds]]:
    """Simulates int8 with steps and ranges that were moved by training, bakes them, and returns what was simulated and
    the ranges."""
    simulated = simulate(module, x, scheme, [])
    calibrate(simulated, x.split(1))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in simulated.modules():
            if isinstance(layer, QuantizedConvolution) and layer.quantizer is not None:
                for each in layer.quantizer:
                    factor = each.get_parameter("factor")
                    factor.copy_(torch.rand(factor.shape, generator=generator) * 0.2 - 0.1)
        calibrate(simulated, x.split(1))
        for each in ranges_of(simulated):
            each.factors.copy_(torch.rand(2, generator=generator) * -0.3)
        output = ImageOnly(simulated).eval()(x)
    bake(simulated)
    return output, learned_ends(simulated, x[:1])


def package(
    folder: Path,
    spec: ResnetSpec,
    module: nn.Module,
    x: torch.Tensor,
    ranges: Sequence[LearnedEnds] = (),
) -> Path:
    takes, gives = describe_io(spec)
    folder.mkdir()
    config = {"family": "resnet", "spec": spec.model_dump(mode="json"), "size": (SIDE, SIDE)}
    config |= {"input": takes, "output": gives, "parameters": 1}
    config["int8_ranges"] = list(ranges)
    golden = make_golden(module, x)
    write_package(folder, config, module.state_dict(), golden, card("x", "resnet", 1, "none", []))
    return folder


def within_a_step(artefact: np.ndarray, simulated: np.ndarray) -> float:
    """The share of values that differ by at most one int8 step of the output."""
    return float((np.abs(artefact - simulated) <= STEP).mean())


def test_litert_computes_what_was_simulated(
    tmp_path: Path, student: tuple[ResnetSpec, nn.Module]
) -> None:
    spec, module = student
    x = golden_images(4, (SIDE, SIDE), 3)
    with torch.no_grad():
        whole = module(x).numpy()
    simulated = learn_steps(module, x, "litert_dynamic")[0].numpy()
    folder = package(tmp_path / "package", spec, module, x)
    export(folder, tmp_path / "export", ["tflite"], ["int8"])
    path = tmp_path / "export" / "teacher_int8.tflite"
    with Session(path, threads=1) as session:
        nhwc = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
        output = session.run(nhwc).transpose(0, 3, 1, 2)
    assert within_a_step(output, simulated) >= 0.99
    assert np.abs(output - simulated).mean() < np.abs(output - whole).mean()
    table = tabulate(module, x[:1], begin(module, x[:1]).graph)
    assert table.bytes(table.full) == pytest.approx(read_model(path).bytes, rel=0.015)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures to calibrate with."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        write_image(folder / f"{seed}.png", draw_pair(SIDE, seed)[1])
    return folder


def as_input(pictures: Path) -> torch.Tensor:
    """The same pictures as a batch."""
    return torch.from_numpy(
        np.stack([to_float(read_image(path)) for path in sorted(pictures.iterdir())])
    )


def test_static_litert_computes_what_was_simulated(tmp_path: Path, pictures: Path) -> None:
    """BatchNorm, everything int8, every weight with a scale for each channel."""
    torch.manual_seed(0)
    spec = ResnetSpec.from_ngf(8, 1, norm="batch", block="separable")
    module, x = build("resnet", spec).eval(), as_input(pictures)
    measure_statistics(module, x)
    module.get_submodule("head").get_parameter("weight").data.mul_(0.2)
    module.eval()
    with torch.no_grad():
        whole = module(x).numpy()
    output, ranges = learn_steps(module, x, "litert_static")
    simulated = output.numpy()
    folder = package(tmp_path / "package", spec, module, x, ranges)
    int8 = Int8Options(policy="static")
    export(
        folder,
        tmp_path / "export",
        ["tflite"],
        ["int8"],
        ExportOptions(calibration=pictures, int8=int8),
    )
    path = tmp_path / "export" / "teacher_int8.tflite"
    with Session(path, threads=1) as session:
        nhwc = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
        output = session.run(nhwc).transpose(0, 3, 1, 2)
    assert within_a_step(output, simulated) >= 0.99
    assert np.abs(output - simulated).mean() < 0.6 * np.abs(output - whole).mean()
    table = tabulate(module, x[:1], begin(module, x[:1]).graph)
    assert table.bytes(table.full) == pytest.approx(read_model(path).bytes, rel=0.02)


def test_dynamic_int8_of_a_student_with_learned_ranges(
    tmp_path: Path, student: tuple[ResnetSpec, nn.Module]
) -> None:
    spec, module = student
    ranges = [LearnedEnds(low=-1, high=1, golden_low=-1, golden_high=1)]
    x = golden_images(4, (SIDE, SIDE), 3)
    folder = package(tmp_path / "package", spec, module, x, ranges)
    int8 = Int8Options(policy="dynamic", method="learned")
    export(folder, tmp_path / "export", ["tflite"], ["int8"], ExportOptions(int8=int8))
    assert (tmp_path / "export" / "teacher_int8.tflite").is_file()


def test_onnx_runtime_computes_what_was_simulated(
    tmp_path: Path, student: tuple[ResnetSpec, nn.Module], pictures: Path
) -> None:
    need_exact()
    spec, module = student
    x = as_input(pictures)
    learned, ranges = learn_steps(module, x, "onnxruntime")
    simulated = learned.numpy()
    folder = package(tmp_path / "package", spec, module, x, ranges)
    int8 = Int8Options(policy="mixed")
    export(
        folder,
        tmp_path / "export",
        ["onnx"],
        ["int8"],
        ExportOptions(calibration=pictures, int8=int8),
    )
    with Session(tmp_path / "export" / "teacher_int8.onnx", threads=1) as session:
        output = session.run(x.numpy())
    with torch.no_grad():
        whole = module(x).numpy()
    assert within_a_step(output, simulated) >= 0.99
    assert np.abs(output - simulated).mean() < 0.5 * np.abs(output - whole).mean()
