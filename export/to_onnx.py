"""PyTorch to ONNX: torch.onnx, onnxsim in a child process, float16, int8 QDQ. Runs in a converter's child process."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from edgegan.files import optional_import

OPSET = 20
SIMPLIFY_TIMEOUT_S = 300


def convert_fp32(graph: fx.GraphModule, example: torch.Tensor, path: Path) -> None:
    """Writes a static-shape .onnx, input and output named so, NCHW float32, opset 20, simplified when onnxsim can."""
    optional_import("onnxscript", "onnx")
    raw = path.with_suffix(".raw.onnx")
    torch.onnx.export(
        graph,
        (example,),
        str(raw),
        dynamo=True,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["output"],
        external_data=False,
    )
    simplify(raw, path)
    raw.unlink(missing_ok=True)


def simplify(raw: Path, path: Path) -> None:
    """onnxsim in a child process, which may crash: then the unsimplified file is kept, and the log says so."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "onnxsim", str(raw), str(path)],
            capture_output=True,
            text=True,
            timeout=SIMPLIFY_TIMEOUT_S,
            check=False,
        )
        if done.returncode == 0 and path.is_file():
            return
        reason = f"exit {done.returncode}: {done.stderr[-400:]}"
    except subprocess.TimeoutExpired:
        reason = f"no answer in {SIMPLIFY_TIMEOUT_S} s"
    sys.stdout.write(f"onnxsim failed ({reason}); the file is kept as exported\n")
    raw.replace(path)


def to_fp16(source: Path, path: Path) -> None:
    """Weights and arithmetic in float16 except InstanceNorm, whose variance overflows it; float32 image in and out."""
    onnx = optional_import("onnx", "onnx")
    float16 = optional_import("onnxruntime.transformers.float16", "onnx")
    model = float16.convert_float_to_float16(
        onnx.load(str(source)),
        keep_io_types=True,
        op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, "InstanceNormalization"],
    )
    onnx.save(model, str(path))


class Calibration:
    """Feeds (N, C, H, W) float32 images to ONNX Runtime's calibrator one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self.images: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, or None at the end."""
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


def to_int8(source: Path, path: Path, calibration: np.ndarray) -> None:
    """QDQ int8 of the trunk: convolutions at the smallest resolution, weights per channel, activations per tensor.

    The full-resolution edges stay float: quantised, they cost ten decibels, with any norm (docs/design.md).
    """
    onnx = optional_import("onnx", "onnx")
    quantization = optional_import("onnxruntime.quantization", "onnx")
    prepared = path.with_suffix(".prepared.onnx")
    shape_inference = optional_import("onnxruntime.quantization.shape_inference", "onnx")
    shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    reader = type("Reader", (Calibration, quantization.CalibrationDataReader), {})(calibration)
    quantization.quantize_static(
        str(prepared),
        str(path),
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=edge_convolutions(model),
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    prepared.unlink(missing_ok=True)


def edge_convolutions(model: Any) -> list[str]:
    """Names of convolutions that work above the smallest resolution of the graph."""
    widths = {
        value.name: value.type.tensor_type.shape.dim[3].dim_value
        for value in [*model.graph.value_info, *model.graph.output, *model.graph.input]
        if len(value.type.tensor_type.shape.dim) == 4
    }
    convolutions = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    smallest = min((widths.get(node.output[0], 1 << 30) for node in convolutions), default=0)
    return [node.name for node in convolutions if widths.get(node.output[0], 1 << 30) > smallest]


def describe(path: Path) -> dict[str, Any]:
    """Operations of an .onnx by kind, and how many compute on int8 (all inputs dequantised) or float."""
    onnx = optional_import("onnx", "onnx")
    graph = onnx.load(str(path)).graph
    histogram = Counter(node.op_type for node in graph.node)
    producers = {output: node.op_type for node in graph.node for output in node.output}
    counts = {"int8": 0, "float": 0}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant", "Cast"):
            continue
        kinds = [producers.get(name) for name in node.input if name in producers]
        counts[
            "int8" if kinds and all(kind == "DequantizeLinear" for kind in kinds) else "float"
        ] += 1
    return {"operations": dict(sorted(histogram.items())), "computed_in": counts}
