"""Graphs that parse and lie: an .onnx or .tflite with another shape, operation, index or attribute somewhere."""

from __future__ import annotations

import random
from typing import Any

from support.hostile_values import spoil_bytes

SIDES = (0, -1, 1, 7, 2**20, 2**31 - 1)
WIDE = (*SIDES, 2**40, 2**62)
KINDS = (
    "Loop",
    "If",
    "Resize",
    "ConstantOfShape",
    "Identity",
    "Transpose",
    "NoSuchThing",
    "",
    "QuantizeLinear",
)


def spoil_onnx(data: bytes, chance: random.Random) -> bytes:
    """One message of the graph changed; half of the time any bytes."""
    if chance.random() < 0.4:
        return spoil_bytes(data, chance)
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    way = chance.randrange(8)
    node, weight = chance.choice(graph.node), chance.choice(graph.initializer)
    if way == 0 and weight.dims:
        weight.dims[chance.randrange(len(weight.dims))] = chance.choice(WIDE)
    elif way == 1:
        ends = [*graph.input, *graph.output]
        dims = chance.choice(ends).type.tensor_type.shape.dim
        if dims:
            chance.choice(dims).dim_value = chance.choice(WIDE)
    elif way == 2:
        node.op_type = chance.choice(KINDS)
    elif way == 3 and node.attribute:
        attribute = chance.choice(node.attribute)
        attribute.ints.append(chance.choice(WIDE))
        attribute.i = chance.choice(WIDE)
    elif way == 4:
        del (node.input if chance.random() < 0.5 else node.output)[:]
    elif way == 5:
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "../outside/mine.txt"), ("length", str(2**40))):
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
    elif way == 6:
        weight.data_type = chance.choice((0, 2, 8, 16, 99))
    else:
        node.output[0] = node.input[0] if node.input else ""  # it feeds itself
    return bytes(model.SerializeToString())


def spoil_tflite(data: bytes, chance: random.Random) -> bytes:
    """One table of the graph changed; half of the time any bytes."""
    if chance.random() < 0.4:
        return spoil_bytes(data, chance)
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    tensor, operator = chance.choice(graph.tensors), chance.choice(graph.operators)
    way = chance.randrange(7)
    if way == 0:
        tensor.shape = [chance.choice(SIDES) for _ in range(chance.choice((0, 1, 4, 9)))]
    elif way == 1:
        tensor.type = chance.choice((0, 1, 5, 13, 17, 100))
    elif way == 2:
        operator.opcodeIndex = chance.choice((0, 1, 2**31, 1000))
    elif way == 3:
        operator.inputs = [chance.choice((-1, 0, 2**30, -5)) for _ in range(chance.randrange(4))]
    elif way == 4:
        operator.outputs = []
    elif way == 5:
        tensor.buffer = chance.choice((0, 1, 2**31))
    else:
        chance.choice(model.operatorCodes).builtinCode = chance.choice((0, 9, 127, 118, 255))
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
