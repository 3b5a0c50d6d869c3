"""PyTorch to TFLite: litert-torch after the rewrites, then ai-edge-quantizer. Runs in a converter's child process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from edgegan.export.flatbuffer import read_operations
from edgegan.export.signature import Boundary, Example
from edgegan.files import optional_import


def convert_fp32(boundaries: Sequence[tuple[Boundary, Example]], path: Path) -> list[str]:
    """Writes a .tflite with one signature {input} -> {output} for each example size; returns their names.

    The first is serving_default, the others size_HEIGHTxWIDTH; weights that are equal are stored once.
    """
    litert_torch = optional_import("litert_torch", "tflite")
    teach_padding()
    converter: Any = None
    names: list[str] = []
    for boundary, example in boundaries:
        names.append("size_{}x{}".format(*example.size) if names else "serving_default")
        add = (converter or litert_torch).signature
        converter = add(names[-1], boundary.eval(), sample_kwargs={"input": example.tensor})
    assert converter is not None
    converter.convert().export(str(path))
    return names


def teach_padding() -> None:
    """Zero padding in channel-last pictures: without this rule litert-torch puts a TRANSPOSE on either side of it."""
    name = "litert_torch._convert.fx_passes.optimize_layout_transposes_pass.layout_rewrite"
    rewriters: Any = optional_import(name, "tflite").rewriters

    def rule(node: torch.fx.Node) -> None:
        node.target = pad_channel_last

    rewriters.register(torch.ops.aten.constant_pad_nd.default)(rule)


def pad_channel_last(x: torch.Tensor, pad: Sequence[int], value: float = 0.0) -> torch.Tensor:
    """`constant_pad_nd` of (N, H, W, C), `pad` in the order of (N, C, H, W): last dimension first."""
    width, height, channels, batch = zip(*[iter([*pad, *[0] * (8 - len(pad))])] * 2, strict=True)
    return F.pad(x, [*channels, *width, *height, *batch], value=value)


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


def describe(path: Path) -> dict[str, Any]:
    """Operations of a .tflite by kind, and how many compute on int8, dynamic int8, int16 or float."""
    operations = read_operations(path)
    counts = Counter({"int8": 0, "dynamic_int8": 0, "float": 0})
    counts.update(
        each.computed_in for each in operations if each.kind not in ("QUANTIZE", "DEQUANTIZE")
    )
    histogram = Counter(each.kind for each in operations)
    return {"operations": dict(sorted(histogram.items())), "computed_in": dict(counts)}
