"""`make bench-lint-costs`: what each operation the mobile lint knows costs an element, alone in LiteRT, and whether
XNNPACK takes it. Prints the table that export/lint.py holds."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgegan.run import environment

SIDE, CHANNELS = 128, 64
SCALE = 1 / 64
ROUNDS = 15


def constant(values: Any, dtype: Any = np.int32) -> np.ndarray:
    """A constant operand."""
    return np.array(values, dtype)


def options(kind: str, **fields: Any) -> tuple[int, Any]:
    """Builtin options of an operation."""
    made = getattr(schema, f"{kind}T")()
    for name, value in fields.items():
        setattr(made, name, value)
    return getattr(schema.BuiltinOptions, kind), made


SAME = (1, SIDE, SIDE, CHANNELS)
ONE = (1, 1, 1, CHANNELS)
DOUBLE = (1, 2 * SIDE, 2 * SIDE, CHANNELS)
PADS = constant([[0, 0], [1, 1], [1, 1], [0, 0]])
PADDED = (1, SIDE + 2, SIDE + 2, CHANNELS)
# kind -> (number of tensor inputs, constants after them, output shape, options)
CASES: dict[str, tuple[int, list[np.ndarray], tuple[int, ...], tuple[int, Any] | None]] = {
    "ADD": (2, [], SAME, options("AddOptions")),
    "SUB": (2, [], SAME, options("SubOptions")),
    "MUL": (2, [], SAME, options("MulOptions")),
    "SQUARED_DIFFERENCE": (2, [], SAME, options("SquaredDifferenceOptions")),
    "RELU": (1, [], SAME, None),
    "LEAKY_RELU": (1, [], SAME, options("LeakyReluOptions", alpha=0.2)),
    "TANH": (1, [], SAME, None),
    "LOGISTIC": (1, [], SAME, None),
    "RSQRT": (1, [], SAME, None),
    "MEAN": (1, [constant([1, 2])], ONE, options("ReducerOptions", keepDims=True)),
    "TRANSPOSE": (1, [constant([0, 3, 1, 2])], (1, CHANNELS, SIDE, SIDE), None),
    "RESHAPE": (1, [constant([1, -1, 1, CHANNELS])], (1, SIDE * SIDE, 1, CHANNELS), None),
    "PAD": (1, [PADS], PADDED, options("PadOptions")),
    "MIRROR_PAD": (1, [PADS], PADDED, options("MirrorPadOptions", mode=0)),
    "CONCATENATION": (
        2,
        [],
        (1, SIDE, SIDE, 2 * CHANNELS),
        options("ConcatenationOptions", axis=3),
    ),
    "SLICE": (
        1,
        [constant([0, 1, 1, 0]), constant([1, SIDE - 1, SIDE - 1, CHANNELS])],
        (1, SIDE - 1, SIDE - 1, CHANNELS),
        None,
    ),
    "STRIDED_SLICE": (
        1,
        [constant([0, 0, 0, 0]), constant([1, SIDE, SIDE, CHANNELS]), constant([1, 2, 2, 1])],
        (1, SIDE // 2, SIDE // 2, CHANNELS),
        options("StridedSliceOptions"),
    ),
    "RESIZE_NEAREST_NEIGHBOR": (
        1,
        [constant([2 * SIDE, 2 * SIDE])],
        DOUBLE,
        options("ResizeNearestNeighborOptions", halfPixelCenters=True),
    ),
    "RESIZE_BILINEAR": (
        1,
        [constant([2 * SIDE, 2 * SIDE])],
        DOUBLE,
        options("ResizeBilinearOptions", halfPixelCenters=True),
    ),
    "DEPTH_TO_SPACE": (
        1,
        [],
        (1, 2 * SIDE, 2 * SIDE, CHANNELS // 4),
        options("DepthToSpaceOptions", blockSize=2),
    ),
    "GATHER": (
        1,
        [constant(range(SIDE))],
        SAME,
        options("GatherOptions", axis=1),
    ),
}


def build(kind: str, dtype: str) -> bytes:
    """A .tflite of one operation."""
    count, constants, shape, extra = CASES[kind]
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs = [], list(range(count))
    for each in (*([SAME] * count), shape):
        graph.tensors.append(tensor(each, dtype, 0))
    graph.outputs = [count]
    operator = schema.OperatorT()
    for values in constants:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors.append(tensor(values.shape, "INT32", len(model.buffers) - 1))
    first = count + 1
    operator.inputs = [*range(count), *range(first, first + len(constants))]
    operator.outputs, operator.opcodeIndex = [count], 0
    if extra is not None:
        operator.builtinOptionsType, operator.builtinOptions = extra
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode, code.version = min(127, code.builtinCode), 2
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor(shape: tuple[int, ...], dtype: str, buffer: int) -> Any:
    """A tensor; int8 ones share a scale."""
    made = schema.TensorT()
    made.shape, made.type, made.buffer = list(shape), getattr(schema.TensorType, dtype), buffer
    made.name = f"t{buffer}_{len(shape)}"
    if dtype == "INT8":
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [SCALE], [0]
    return made


def measure(kind: str, dtype: str) -> dict[str, Any] | None:
    """Nanoseconds an element written (read, for MEAN), one thread, and whether XNNPACK took it; None: not runnable."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tflite"
        path.write_bytes(build(kind, dtype))
        try:
            interpreter = Interpreter(model_path=str(path), num_threads=1)
            interpreter.allocate_tensors()
            for each in interpreter.get_input_details():
                values = np.random.default_rng(0).uniform(0.5, 1.5, each["shape"])
                values = values / SCALE if dtype == "INT8" else values
                interpreter.set_tensor(each["index"], values.clip(-128, 127).astype(each["dtype"]))
            samples = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                interpreter.invoke()
                samples.append(time.perf_counter() - began)
        except (RuntimeError, ValueError):
            return None
        delegated = any(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())
    elements = int(np.prod(SAME if kind == "MEAN" else CASES[kind][2]))
    return {"ns_per_element": round(min(samples) * 1e9 / elements, 3), "xnnpack": delegated}


def main() -> None:
    """Measures every case in float32 and int8 and prints the table as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    print(json.dumps(environment()))
    for kind in CASES:
        found = {dtype: measure(kind, dtype) for dtype in ("FLOAT32", "INT8")}
        print(json.dumps({"operation": kind, **found}))


if __name__ == "__main__":
    main()
