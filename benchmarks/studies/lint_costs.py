"""`make bench-lint-costs`: what each operation the mobile lint knows costs an element, alone in LiteRT, and whether
XNNPACK takes it. Prints the table that export/lint.py holds."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from edgegan.benchmarks.studies.one_op import SCALE, OneOperation, build
from edgegan.run import environment

SIDE, CHANNELS = 128, 64
ROUNDS = 15


def constant(values: Any) -> np.ndarray:
    """A constant operand."""
    return np.array(values, np.int32)


def case(
    kind: str,
    count: int,
    output: tuple[int, ...],
    *constants: np.ndarray,
    options: str | None = None,
    **fields: Any,
) -> OneOperation:
    """One operation on (1, SIDE, SIDE, CHANNELS)."""
    return OneOperation(
        kind, count, SAME, output, constants, (options, fields) if options else None
    )


SAME = (1, SIDE, SIDE, CHANNELS)
ONE = (1, 1, 1, CHANNELS)
DOUBLE = (1, 2 * SIDE, 2 * SIDE, CHANNELS)
PADS = constant([[0, 0], [1, 1], [1, 1], [0, 0]])
PADDED = (1, SIDE + 2, SIDE + 2, CHANNELS)
INNER = (1, SIDE - 1, SIDE - 1, CHANNELS)
CASES = [
    case("ADD", 2, SAME, options="AddOptions"),
    case("SUB", 2, SAME, options="SubOptions"),
    case("MUL", 2, SAME, options="MulOptions"),
    case("SQUARED_DIFFERENCE", 2, SAME, options="SquaredDifferenceOptions"),
    case("RELU", 1, SAME),
    case("LEAKY_RELU", 1, SAME, options="LeakyReluOptions", alpha=0.2),
    case("TANH", 1, SAME),
    case("LOGISTIC", 1, SAME),
    case("RSQRT", 1, SAME),
    case("MEAN", 1, ONE, constant([1, 2]), options="ReducerOptions", keepDims=True),
    case("TRANSPOSE", 1, (1, CHANNELS, SIDE, SIDE), constant([0, 3, 1, 2])),
    case("PAD", 1, PADDED, PADS, options="PadOptions"),
    case("MIRROR_PAD", 1, PADDED, PADS, options="MirrorPadOptions", mode=0),
    case("CONCATENATION", 2, (1, SIDE, SIDE, 2 * CHANNELS), options="ConcatenationOptions", axis=3),
    case("SLICE", 1, INNER, constant([0, 1, 1, 0]), constant(INNER)),
    case(
        "STRIDED_SLICE",
        1,
        (1, SIDE // 2, SIDE // 2, CHANNELS),
        constant([0, 0, 0, 0]),
        constant(SAME),
        constant([1, 2, 2, 1]),
        options="StridedSliceOptions",
    ),
    case(
        "RESIZE_NEAREST_NEIGHBOR",
        1,
        DOUBLE,
        constant(DOUBLE[1:3]),
        options="ResizeNearestNeighborOptions",
        halfPixelCenters=True,
    ),
    case(
        "RESIZE_BILINEAR",
        1,
        DOUBLE,
        constant(DOUBLE[1:3]),
        options="ResizeBilinearOptions",
        halfPixelCenters=True,
    ),
    case(
        "DEPTH_TO_SPACE",
        1,
        (1, 2 * SIDE, 2 * SIDE, CHANNELS // 4),
        options="DepthToSpaceOptions",
        blockSize=2,
    ),
    case("GATHER", 1, SAME, constant(range(SIDE)), options="GatherOptions", axis=1),
]


def measure(operation: OneOperation, dtype: str) -> dict[str, Any] | None:
    """Nanoseconds an element written (read, for MEAN), one thread, and whether XNNPACK took it; None: not runnable."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tflite"
        path.write_bytes(build(operation, dtype))
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
    elements = int(np.prod(SAME if operation.kind == "MEAN" else operation.output))
    return {"ns_per_element": round(min(samples) * 1e9 / elements, 3), "xnnpack": delegated}


def main() -> None:
    """Measures every case in float32 and int8 and prints the table as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    print(json.dumps(environment()))
    for operation in CASES:
        found = {dtype: measure(operation, dtype) for dtype in ("FLOAT32", "INT8")}
        print(json.dumps({"operation": operation.kind, **found}))


if __name__ == "__main__":
    main()
