"""PyTorch to TFLite: litert-torch after the rewrites, then ai-edge-quantizer. Runs in a converter's child process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgegan.export.layers import ChannelLast
from torch import fx

from edgegan.files import optional_import


def convert_fp32(graph: fx.GraphModule, example: torch.Tensor, path: Path) -> None:
    """Writes a static-shape .tflite with signature {input} -> {output}, both NHWC float32."""
    litert_torch = optional_import("litert_torch", "tflite")
    nhwc = example.permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(ChannelLast(graph).eval(), sample_kwargs={"input": nhwc}).export(str(path))


def to_fp16(source: Path, path: Path) -> None:
    """Stores weights as float16; runtimes without float16 arithmetic compute in float32."""
    quantizer_module = optional_import("ai_edge_quantizer.quantizer", "tflite")
    qtyping = optional_import("ai_edge_quantizer.qtyping", "tflite")
    quantizer = quantizer_module.Quantizer(str(source))
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED"):
        quantizer.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName[name],
            op_config=config,
            algorithm_key=quantizer_module.AlgorithmName.FLOAT_CASTING,
        )
    quantizer.quantize().export_model(str(path), overwrite=True)


def to_dynamic_int8(source: Path, path: Path) -> None:
    """int8 weights and activations quantised at run time in dense convolutions only.

    Depthwise convolutions stay float: their dynamic kernels are slower than float ones and cost a decibel.
    """
    quantizer_module = optional_import("ai_edge_quantizer.quantizer", "tflite")
    qtyping = optional_import("ai_edge_quantizer.qtyping", "tflite")
    quantizer = quantizer_module.Quantizer(str(source))
    quantizer.add_dynamic_config(
        regex=".*", operation_name=qtyping.TFLOperationName.CONV_2D, num_bits=8
    )
    quantizer.quantize().export_model(str(path), overwrite=True)


def to_static_int8(source: Path, path: Path, calibration: np.ndarray) -> None:
    """Every operation in int8, ranges from `calibration` (N, C, H, W) float32; float32 image in and out."""
    quantizer_module = optional_import("ai_edge_quantizer.quantizer", "tflite")
    qtyping = optional_import("ai_edge_quantizer.qtyping", "tflite")
    recipe = optional_import("ai_edge_quantizer.recipe", "tflite")
    quantizer = quantizer_module.Quantizer(str(source))
    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
    for name in ("INPUT", "OUTPUT"):
        quantizer.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName[name],
            algorithm_key=quantizer_module.AlgorithmName.NO_QUANTIZE,
        )
    samples = [
        {"input": np.ascontiguousarray(image.transpose(1, 2, 0))[None]} for image in calibration
    ]
    ranges = quantizer.calibrate({"serving_default": samples})
    quantizer.quantize(ranges).export_model(str(path), overwrite=True)


def describe(path: Path) -> dict[str, Any]:
    """Operations of a .tflite by kind, and how many compute on int8, dynamic int8 or float."""
    schema = optional_import("ai_edge_litert.schema_py_generated", "tflite")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    kinds = {
        value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
    }
    graph = model.subgraphs[0]
    histogram: Counter[str] = Counter()
    counts = {"int8": 0, "dynamic_int8": 0, "float": 0}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        histogram[kind] += 1
        if kind in ("QUANTIZE", "DEQUANTIZE"):
            continue
        inputs = [graph.tensors[index].type for index in operator.inputs if index >= 0]
        output = graph.tensors[operator.outputs[0]].type
        if output == schema.TensorType.INT8:
            counts["int8"] += 1
        elif schema.TensorType.INT8 in inputs:
            counts["dynamic_int8"] += 1
        else:
            counts["float"] += 1
    return {"operations": dict(sorted(histogram.items())), "computed_in": counts}
