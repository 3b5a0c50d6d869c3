"""The last hand at a .tflite: DEPTH_TO_SPACE as one operation, short names that say which layer a tensor is of.

Converters write DEPTH_TO_SPACE as a six-dimensional TRANSPOSE between two RESHAPE. The one operation is faster on CPUs,
and GPU delegates have no six-dimensional tensors. Converters' names repeat the whole path of a module: a tenth of a
small student's file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.export.flatbuffer import kind_of, name_layers, read_operations
from edgegan.files import optional_import, write_atomic

ORDER = (0, 1, 3, 2, 4, 5)  # (N, H, W, rows, columns, C) -> (N, H, rows, W, columns, C)
INT8_VERSION = 2
PARTS = ("weight", "bias")


def finish(path: Path, names: Mapping[str, str]) -> None:
    """Rewrites a .tflite in place; `names` are the new ones of the converter's tensors. Values do not change."""
    schema = optional_import("ai_edge_litert.schema_py_generated", "tflite")
    utilities = optional_import("ai_edge_litert.tools.flatbuffer_utils", "tflite")
    content = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    take_contents_in(model, content)
    for place, graph in enumerate(model.subgraphs):
        fuse_depth_to_space(schema, model, graph)
        drop_unused_tensors(graph, signatures_of(model, place))
        rename(graph, names)
    drop_unused_contents(model)
    write_atomic(path, bytes(utilities.convert_object_to_bytearray(model)))


def short_names(source: Path, weights: dict[str, np.ndarray]) -> dict[str, str]:
    """New names for the tensors of an fp32 .tflite: layers by their dotted names in the generator, whose weights are
    given as for `name_layers`, and the other operations by kind and number."""
    operations = read_operations(source)
    layers = name_layers(operations, weights)
    names: dict[str, str] = {}
    for number, operation in enumerate(operations):
        own = layers.get(operation.name, f"{operation.kind.lower()}_{number}")
        for tensor in operation.outputs:
            names[tensor.name] = own
        if operation.is_layer:
            for part, tensor in zip(PARTS, operation.inputs[1:], strict=False):
                names.setdefault(tensor.name, f"{own}.{part}")
    return names


def rename(graph: Any, names: Mapping[str, str]) -> None:
    """Gives tensors their new names, each once; inputs and outputs of the graph keep theirs. What is not quantised
    loses its empty table of scales."""
    kept = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    taken = {graph.tensors[place].name.decode() for place in kept}
    for place, tensor in enumerate(graph.tensors):
        scales = tensor.quantization
        if scales is not None and scales.scale is None and scales.min is None:
            tensor.quantization = None
        if place in kept:
            continue
        name = names.get(tensor.name.decode(), f"t{place}")
        name = name if name not in taken else f"{name}_{place}"
        taken.add(name)
        tensor.name = name.encode()


def fuse_depth_to_space(schema: Any, model: Any, graph: Any) -> None:
    """Puts the operations into one subgraph."""
    kinds = schema.BuiltinOperator
    makers = {int(tensor): op for op in graph.operators for tensor in op.outputs}
    readers: dict[int, list[Any]] = {}
    for op in graph.operators:
        for tensor in op.inputs:
            readers.setdefault(int(tensor), []).append(op)
    gone: set[int] = set()
    for op in graph.operators:
        if kind_of(model, op) != kinds.TRANSPOSE:
            continue
        order = model.buffers[graph.tensors[op.inputs[1]].buffer].data
        first = makers.get(int(op.inputs[0]))
        last = readers.get(int(op.outputs[0]), [])
        if order is None or tuple(np.asarray(order, np.uint8).view(np.int32)) != ORDER:
            continue
        if first is None or len(last) != 1 or len(readers[int(op.inputs[0])]) != 1:
            continue
        around = {kind_of(model, each) for each in (first, *last)}
        shapes = [graph.tensors[each].shape for each in (first.inputs[0], last[0].outputs[0])]
        rows, columns = (int(size) for size in graph.tensors[op.inputs[0]].shape[3:5])
        if around != {kinds.RESHAPE} or rows != columns or any(len(each) != 4 for each in shapes):
            continue
        if tuple(shapes[1][1:3]) != (rows * shapes[0][1], columns * shapes[0][2]):
            continue
        whole = last[0]
        whole.inputs = np.array([first.inputs[0]], np.int32)
        whole.opcodeIndex = code_of(schema, model, int8=is_int8(schema, graph, first))
        whole.builtinOptionsType = schema.BuiltinOptions.DepthToSpaceOptions
        whole.builtinOptions = schema.DepthToSpaceOptionsT()
        whole.builtinOptions.blockSize = rows
        gone |= {id(op), id(first)}
    graph.operators = [op for op in graph.operators if id(op) not in gone]


def is_int8(schema: Any, graph: Any, op: Any) -> bool:
    """Whether an operation's output is int8."""
    return bool(graph.tensors[op.outputs[0]].type == schema.TensorType.INT8)


def code_of(schema: Any, model: Any, *, int8: bool) -> int:
    """The place of DEPTH_TO_SPACE among the operator codes, made where there is none."""
    kind, version = schema.BuiltinOperator.DEPTH_TO_SPACE, INT8_VERSION if int8 else 1
    for place, code in enumerate(model.operatorCodes):
        if code.builtinCode == kind:
            code.version = max(version, int(code.version))
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def signatures_of(model: Any, place: int) -> list[Any]:
    """The named inputs and outputs of a subgraph."""
    chosen = [each for each in model.signatureDefs or [] if each.subgraphIndex == place]
    return [named for each in chosen for named in (*each.inputs, *each.outputs)]


def drop_unused_tensors(graph: Any, signatures: Iterable[Any]) -> None:
    """Removes tensors that nothing reads or writes, and numbers the others anew."""
    used = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    for op in graph.operators:
        used |= {int(tensor) for tensor in (*op.inputs, *op.outputs) if tensor >= 0}
    number = {old: new for new, old in enumerate(sorted(used))} | {-1: -1}

    def renumber(tensors: Iterable[Any]) -> np.ndarray:
        return np.array([number[int(each)] for each in tensors], np.int32)

    graph.tensors = [graph.tensors[old] for old in sorted(used)]
    graph.inputs, graph.outputs = renumber(graph.inputs), renumber(graph.outputs)
    for op in graph.operators:
        op.inputs, op.outputs = renumber(op.inputs), renumber(op.outputs)
    for named in signatures:
        named.tensorIndex = number[int(named.tensorIndex)]


def take_contents_in(model: Any, content: bytes) -> None:
    """Puts weights that the quantizer wrote behind the flatbuffer into it, where every reader looks for them."""
    for buffer in model.buffers:
        if buffer.size:
            data = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(data, np.uint8)
            buffer.offset = buffer.size = 0


def drop_unused_contents(model: Any) -> None:
    """Empties buffers that no tensor and no metadata has."""
    used = {int(tensor.buffer) for graph in model.subgraphs for tensor in graph.tensors}
    used |= {int(each.buffer) for each in model.metadata or []}
    for place, buffer in enumerate(model.buffers):
        if place not in used:
            buffer.data = None
