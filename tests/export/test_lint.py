"""The mobile lint on artefacts of one operation, built by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.commands import edgegan

from edgegan.benchmarks.studies.one_op import OneOperation, build, convolution
from edgegan.export.lint import Finding, as_text, lint

SAME = (1, 16, 16, 32)
PADS = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def nearest(side: int) -> OneOperation:
    options = ("ResizeNearestNeighborOptions", {"halfPixelCenters": True})
    shape = (1, side, side, 32)
    return OneOperation("RESIZE_NEAREST_NEIGHBOR", 1, SAME, shape, (integers(side, side),), options)


CASES = {
    "mirror_pad": (
        OneOperation("MIRROR_PAD", 1, SAME, (1, 18, 18, 32), (PADS,), ("MirrorPadOptions", {})),
        "FLOAT32",
    ),
    "transpose": (
        OneOperation("TRANSPOSE", 1, SAME, (1, 32, 16, 16), (integers(0, 3, 1, 2),)),
        "FLOAT32",
    ),
    "int8_relu": (OneOperation("RELU", 1, SAME, SAME), "INT8"),
    "int8_norm": (OneOperation("RSQRT", 1, SAME, SAME), "INT8"),
    "half_pixel_nearest": (nearest(24), "FLOAT32"),
    "nearest_outside_xnnpack": (nearest(32), "FLOAT32"),
    "outside_xnnpack": (
        OneOperation(
            "GATHER",
            1,
            SAME,
            SAME,
            (np.arange(16, dtype=np.int32),),
            ("GatherOptions", {"axis": 1}),
        ),
        "FLOAT32",
    ),
    "int16_activations": (OneOperation("TANH", 1, SAME, SAME), "INT16"),
}


def write(folder: Path, operation: OneOperation, dtype: str) -> Path:
    path = folder / "one.tflite"
    path.write_bytes(build(operation, dtype))
    return path


@pytest.mark.parametrize("rule", CASES)
def test_finds_exactly_the_rule(tmp_path: Path, rule: str) -> None:
    (finding,) = lint(write(tmp_path, *CASES[rule]))
    assert finding.rule == rule
    assert finding.count == 1
    assert finding.reason and finding.cost


def test_cost_is_elements_times_nanoseconds(tmp_path: Path) -> None:
    """An 18x18x32 mirror pad at 9 ns a value: 0.09 ms."""
    (finding,) = lint(write(tmp_path, *CASES["mirror_pad"]))
    assert finding.cost.startswith("about 0.09 ms")
    assert finding.where == "MIRROR_PAD 1x18x18x32"


@pytest.mark.parametrize("operation", ["RELU", "TANH", "ADD"])
def test_clean_operations(tmp_path: Path, operation: str) -> None:
    count = 2 if operation == "ADD" else 1
    options = ("AddOptions", {}) if operation == "ADD" else None
    one = OneOperation(operation, count, SAME, SAME, options=options)
    assert not lint(write(tmp_path, one, "FLOAT32"))
    assert as_text([]) == "lint: nothing found"


def test_convolution_is_clean_unless_narrow(tmp_path: Path) -> None:
    assert not lint(write(tmp_path, convolution(16, 32, "INT8"), "INT8"))
    assert [f.rule for f in lint(write(tmp_path, convolution(64, 3, "FLOAT32"), "FLOAT32"))] == [
        "narrow_head"
    ]


def test_half_pixel_nearest_in_onnx(tmp_path: Path) -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    sizes = helper.make_tensor("sizes", onnx.TensorProto.INT64, [4], [1, 3, 5, 5])
    for mode, expected in (("half_pixel", 1), ("asymmetric", 0)):
        node = helper.make_node(
            "Resize", ["x", "", "", "sizes"], ["y"], coordinate_transformation_mode=mode
        )
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", kind, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("y", kind, [1, 3, 5, 5])],
            [sizes],
        )
        path = tmp_path / "one.onnx"
        onnx.save(helper.make_model(graph), str(path))
        assert [f.rule for f in lint(path)] == ["half_pixel_nearest"] * expected


def test_command(tmp_path: Path) -> None:
    path = write(tmp_path, *CASES["mirror_pad"])
    found = json.loads(edgegan("lint", path, "--json").stdout)
    assert Finding(**found[0]).rule == "mirror_pad"
    strict = edgegan("lint", path, "--strict", check=False)
    assert strict.returncode == 3
    assert "1 lint findings" in strict.stderr
    path.write_bytes(b"nothing like it")
    refused = edgegan("lint", path, check=False)
    assert refused.returncode == 2
    assert "is not a .tflite file" in refused.stderr
