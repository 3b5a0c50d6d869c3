"""A .tflite of one operation, built by hand: what a pattern costs alone, and how fast a convolution can be here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SCALE = 1 / 64


@dataclass(frozen=True)
class OneOperation:
    """An operation of `count` inputs of one shape; constants follow them; `options` are (class name, fields)."""

    kind: str
    count: int
    shape: tuple[int, ...]
    output: tuple[int, ...]
    constants: tuple[np.ndarray, ...] = ()
    options: tuple[str, dict[str, Any]] | None = None
    weight_scales: dict[int, np.ndarray] = field(default_factory=dict)
    version: int = 2


def build(operation: OneOperation, dtype: str) -> bytes:
    """The file; `dtype` FLOAT32 or INT8 is that of its activations, whose int8 scale is SCALE."""
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    graph = schema.SubGraphT()
    shapes = (*([operation.shape] * operation.count), operation.output)
    graph.tensors = [make_tensor(shape, dtype, 0, np.array([SCALE])) for shape in shapes]
    graph.inputs, graph.outputs = list(range(operation.count)), [operation.count]
    for index, values in enumerate(operation.constants):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        kind = {"int32": "INT32", "float32": "FLOAT32", "int8": "INT8"}[values.dtype.name]
        scales = operation.weight_scales.get(index)
        graph.tensors.append(make_tensor(values.shape, kind, len(model.buffers) - 1, scales))
    operator = schema.OperatorT()
    first = operation.count + 1
    operator.inputs = [*graph.inputs, *range(first, first + len(operation.constants))]
    operator.outputs, operator.opcodeIndex = [operation.count], 0
    if operation.options is not None:
        name, fields = operation.options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        operator.builtinOptions = getattr(schema, f"{name}T")()
        for key, value in fields.items():
            setattr(operator.builtinOptions, key, value)
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operation.kind)
    code.deprecatedBuiltinCode, code.version = min(127, code.builtinCode), operation.version
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def make_tensor(shape: tuple[int, ...], dtype: str, buffer: int, scales: np.ndarray | None) -> Any:
    """A tensor; `scales` make it quantised, several of them a channel each along axis 0."""
    made = schema.TensorT()
    made.shape, made.type, made.buffer = list(shape), getattr(schema.TensorType, dtype), buffer
    made.name = f"t{buffer}_{dtype}_{len(shape)}"
    if scales is not None and dtype != "FLOAT32":
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = [float(scale) for scale in scales]
        made.quantization.zeroPoint = [0] * len(scales)
        made.quantization.quantizedDimension = 0
    return made


def convolution(side: int, channels: int, dtype: str) -> OneOperation:
    """A 3x3 convolution that keeps its size: the densest work a generator has."""
    shape = (1, side, side, channels)
    chance = np.random.default_rng(0)
    weight_shape = (channels, 3, 3, channels)
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 0}
    if dtype == "FLOAT32":
        weight = (chance.standard_normal(weight_shape) / (3 * channels**0.5)).astype(np.float32)
        bias = np.zeros(channels, np.float32)
        return OneOperation("CONV_2D", 1, shape, shape, (weight, bias), ("Conv2DOptions", options))
    scales = np.full(channels, 1 / 4096)
    return OneOperation(
        "CONV_2D",
        1,
        shape,
        shape,
        (
            chance.integers(-127, 128, weight_shape).astype(np.int8),
            np.zeros(channels, np.int32),
        ),
        ("Conv2DOptions", options),
        {0: scales, 1: scales * SCALE},
        version=3,
    )
