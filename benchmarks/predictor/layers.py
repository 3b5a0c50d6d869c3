"""A .tflite as layers: a convolution with what leads to it and follows it, described by numbers that widths change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.benchmarks.tflite_graph import content, cut, operator_name, read_graph, schema
from edgegan.files import sha256_json

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
MOVES = {
    *("PAD", "PADV2", "MIRROR_PAD", "SLICE", "CONCATENATION", "TRANSPOSE", "RESHAPE"),
    "DEPTH_TO_SPACE",
}
SMALL = 16  # constants of at most so many integers are shapes, paddings and axes, never biases


@dataclass(frozen=True)
class Part:
    """Consecutive operators of a graph as a model of their own.

    `signature` is equal for parts that differ in sizes only; `numbers` are those sizes: the dimensions of every tensor,
    then the values of small integer constants and of RESHAPE's option.
    """

    model: Any
    signature: str
    numbers: tuple[int, ...]


def split(path: Path) -> list[Part]:
    """The parts of an artefact, in order. A part begins where the data of its convolution is first moved or padded.

    Whole parts, not single operators, because XNNPACK fuses paddings, activations and means with their neighbours.
    """
    model = read_graph(path)
    names = [operator_name(model, op) for op in model.subgraphs[0].operators]
    starts = [0]
    for index, name in enumerate(names):
        if name in CONVOLUTIONS:
            start = index
            while start > starts[-1] and names[start - 1] in MOVES:
                start -= 1
            if any(other in CONVOLUTIONS for other in names[starts[-1] : start]):
                starts.append(start)
    ends = [*starts[1:], len(names)]
    return [describe(cut(model, first, last)) for first, last in zip(starts, ends, strict=True)]


def describe(part: Any) -> Part:
    """The part with its signature and numbers."""
    graph = part.subgraphs[0]
    facts: list[Any] = [list(map(int, graph.inputs)), list(map(int, graph.outputs))]
    for op in graph.operators:
        options = vars(op.builtinOptions) if op.builtinOptions is not None else {}
        kept = sorted((k, str(v)) for k, v in options.items() if k != "newShape")
        wires = [list(map(int, op.inputs)), list(map(int, op.outputs))]
        facts.append([operator_name(part, op), wires, kept])
    for tensor in graph.tensors:
        constant = content(part, tensor) is not None
        facts.append([int(tensor.type), len(tensor.shape), constant, is_small(part, tensor)])
    return Part(part, sha256_json(facts)[:16], tuple(numbers_of(part)))


def is_small(part: Any, tensor: Any) -> bool:
    """Whether a tensor is a constant list of integers that states sizes."""
    data = content(part, tensor)
    if data is None or tensor.type != schema().TensorType.INT32 or len(data) > 4 * SMALL:
        return False
    scale = tensor.quantization.scale if tensor.quantization is not None else None
    return scale is None or len(scale) == 0


def numbers_of(part: Any) -> list[int]:
    """Every size that the part states."""
    graph = part.subgraphs[0]
    found = [int(size) for tensor in graph.tensors for size in tensor.shape]
    for tensor in graph.tensors:
        if is_small(part, tensor):
            data = content(part, tensor)
            assert data is not None
            found += [int(value) for value in data.view(np.int32)]
    for op in graph.operators:
        found += [int(value) for value in new_shape(op)]
    return found


def new_shape(op: Any) -> Any:
    """RESHAPE's option, or nothing."""
    shape = getattr(op.builtinOptions, "newShape", None)
    return [] if shape is None else shape


def resize(part: Any, numbers: tuple[int, ...]) -> None:
    """Gives the part other sizes in place; weights, biases and scales are repeated to fit."""
    graph = part.subgraphs[0]
    small = [is_small(part, tensor) for tensor in graph.tensors]
    values = iter(numbers)
    for tensor, states_sizes in zip(graph.tensors, small, strict=True):
        old = [int(size) for size in tensor.shape]
        tensor.shape = np.array([next(values) for _ in old], dtype=np.int32)
        data = content(part, tensor)
        if data is not None and not states_sizes:
            item = len(data) // max(1, int(np.prod(old)))
            part.buffers[tensor.buffer].data = np.resize(data, item * int(np.prod(tensor.shape)))
        resize_scales(tensor)
    for tensor, states_sizes in zip(graph.tensors, small, strict=True):
        if states_sizes:
            data = content(part, tensor)
            assert data is not None
            taken = np.array([next(values) for _ in range(len(data) // 4)], dtype=np.int32)
            part.buffers[tensor.buffer].data = taken.view(np.uint8)
    for op in graph.operators:
        if len(new_shape(op)):
            op.builtinOptions.newShape = [next(values) for _ in new_shape(op)]


def resize_scales(tensor: Any) -> None:
    """One scale and zero point for each channel of the quantised dimension."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) < 2:
        return
    count = int(tensor.shape[quantization.quantizedDimension])
    quantization.scale = np.resize(quantization.scale, count)
    quantization.zeroPoint = np.resize(quantization.zeroPoint, count)
