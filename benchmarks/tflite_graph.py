"""TFLite files read, cut and built as plain objects, by the schema that the ai-edge-litert wheel carries."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.files import optional_import

ACTIVATION_SCALE, WEIGHT_SCALE = 1 / 64, 1 / 128


def schema() -> Any:
    """The generated schema module."""
    return optional_import("ai_edge_litert.schema_py_generated", "bench")


def read_graph(path: Path) -> Any:
    """A ModelT of the file."""
    return schema().ModelT.InitFromPackedBuf(path.read_bytes(), 0)


def pack(model: Any) -> bytes:
    """The bytes of a ModelT."""
    flatbuffers = optional_import("flatbuffers", "bench")
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator_name(model: Any, operator: Any) -> str:
    """CONV_2D and so on."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {v: k for k, v in vars(schema().BuiltinOperator).items() if isinstance(v, int)}
    return str(names[number])


def content(model: Any, tensor: Any) -> np.ndarray | None:
    """The bytes of a constant tensor, or None for an activation."""
    data = model.buffers[tensor.buffer].data
    return None if data is None or len(data) == 0 else np.asarray(data, dtype=np.uint8)


def cut(model: Any, first: int, last: int) -> Any:
    """A model of the operators first <= i < last alone: it reads what they read and writes what leaves them.

    Tensors are numbered as they appear, and every use of a constant gets a copy of its own: which constants a converter
    shares depends on whether they happen to be equal.
    """
    graph = model.subgraphs[0]
    read_later = {int(i) for op in graph.operators[last:] for i in op.inputs}
    leaves = read_later | {int(i) for i in graph.outputs}
    part, new_graph = copy.copy(model), copy.copy(graph)
    part.signatureDefs, part.metadata, part.metadataBuffer = None, None, None
    part.buffers, part.subgraphs = [make_buffer(None)], [new_graph]
    new_graph.tensors, new_graph.operators = [], []
    new_graph.inputs, new_graph.outputs = [], []
    place: dict[int, int] = {}

    def add(index: int) -> int:
        tensor = copy.deepcopy(graph.tensors[index])
        data = content(model, tensor)
        tensor.buffer = 0 if data is None else len(part.buffers)
        if data is not None:
            part.buffers.append(make_buffer(data))
        new_graph.tensors.append(tensor)
        return len(new_graph.tensors) - 1

    for op in map(copy.deepcopy, graph.operators[first:last]):
        for position, index in enumerate(map(int, op.inputs)):
            if index >= 0 and content(model, graph.tensors[index]) is not None:
                op.inputs[position] = add(index)
            elif index >= 0:
                if index not in place:
                    place[index] = add(index)
                    new_graph.inputs.append(place[index])
                op.inputs[position] = place[index]
        for position, index in enumerate(map(int, op.outputs)):
            place[index] = add(index)
            op.outputs[position] = place[index]
            if index in leaves:
                new_graph.outputs.append(place[index])
        new_graph.operators.append(op)
    return part


def conv_model(side: int, channels: int, kernel: int, precision: str) -> bytes:
    """One SAME convolution, channels to channels on side x side, fp32 or full int8, random weights."""
    s = schema()
    quantised = precision == "int8"
    chance = np.random.default_rng(0)
    shape = (channels, kernel, kernel, channels)
    kind = s.TensorType.INT8 if quantised else s.TensorType.FLOAT32
    if quantised:
        weights: np.ndarray = chance.integers(-127, 128, shape).astype(np.int8)
        bias: np.ndarray = np.zeros(channels, np.int32)
    else:
        weights = chance.standard_normal(shape).astype(np.float32)
        bias = np.zeros(channels, np.float32)
    picture = (1, side, side, channels)
    bias_kind = s.TensorType.INT32 if quantised else kind
    scales = (ACTIVATION_SCALE, WEIGHT_SCALE, ACTIVATION_SCALE * WEIGHT_SCALE, ACTIVATION_SCALE)
    tensors = [
        make_tensor(*values, scale=scale if quantised else None)
        for values, scale in zip(
            (
                ("input", picture, kind, 0),
                ("weights", shape, kind, 1),
                ("bias", (channels,), bias_kind, 2),
                ("output", picture, kind, 0),
            ),
            scales,
            strict=True,
        )
    ]
    options = s.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = s.Padding.SAME, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    operator = s.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType = s.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = options
    graph = s.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], [3]
    graph.operators, graph.name = [operator], b"main"
    code = s.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.CONV_2D
    code.version = 3 if quantised else 1
    model = s.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [make_buffer(None), make_buffer(weights), make_buffer(bias)]
    return pack(model)


def make_tensor(
    name: str, shape: Sequence[int], kind: int, buffer: int, scale: float | None
) -> Any:
    """A tensor, quantised per tensor when it has a scale."""
    s = schema()
    tensor = s.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    if scale is not None:
        tensor.quantization = s.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    return tensor


def make_buffer(values: np.ndarray | None) -> Any:
    """A buffer of an array's bytes."""
    buffer = schema().BufferT()
    if values is not None:
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
    return buffer
