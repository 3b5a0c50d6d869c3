"""PyTorch to ONNX: torch.onnx, onnxsim in a child process, float16, int8 QDQ. Runs in a converter's child process."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from edgegan.export.signature import Boundary, Example, Sizes
from edgegan.files import optional_import
from edgegan.processes import Overrun, run_bounded
from edgegan.runtime.limits import SIMPLIFY_S, deadline_s, ending_with_us

OPSET = 20


def convert_fp32(
    graph: tuple[Boundary, Example], path: Path, sizes: Sizes, *, simple: bool = True
) -> None:
    """Writes an .onnx with input and output named so, opset 20, simplified when `simple` and onnxsim can."""
    optional_import("onnxscript", "onnx")
    raw = path.with_suffix(".raw.onnx")
    boundary, example = graph
    torch.onnx.export(
        boundary,
        (example.tensor,),
        str(raw),
        dynamo=True,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["output"],
        external_data=False,
        dynamic_shapes=free_sides(boundary.takes.layout, sizes.multiple) if sizes.dynamic else None,
    )
    if simple:
        simplify(raw, path)
    else:
        raw.replace(path)
    raw.unlink(missing_ok=True)


def free_sides(layout: str, multiple: int) -> dict[str, dict[int, Any]]:
    """torch.export's words for any height and width that are multiples of `multiple`."""
    height, width = torch.export.Dim("height_steps"), torch.export.Dim("width_steps")
    first = 1 if layout == "NHWC" else 2
    return {"input": {first: multiple * height, first + 1: multiple * width}}


def simplify(raw: Path, path: Path) -> None:
    """onnxsim in a child process, which may crash: then the unsimplified file is kept, and the log says so."""
    command = ending_with_us([sys.executable, "-m", "onnxsim", str(raw), str(path)])
    try:
        done = run_bounded(command, deadline_s(SIMPLIFY_S))
        if done.code == 0 and path.is_file():
            return
        reason = f"exit {done.code}: {done.last_words()}"
    except Overrun as error:
        reason = str(error)
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
    made: set[str] = set()
    for node in list(
        model.graph.node
    ):  # a value that one operation reads twice was cast twice, under one name
        if node.output[0] in made:
            model.graph.node.remove(node)
        made.update(node.output)
    onnx.save(model, str(path))


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
