"""What stands in a .tflite: its operations with their tensors, and which layer of the generator each of them is."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.errors import InputError
from edgegan.files import optional_import

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
WEIGHT_INPUT = 1
WEIGHT_TOLERANCE = 1e-5
LEAST_INPUTS = {**dict.fromkeys(LAYERS, 2), "TRANSPOSE_CONV": 3, "RESIZE_NEAREST_NEIGHBOR": 1}
MOST_RANK = 16
PARSER_ERRORS = (  # of a parser that trusts every offset
    struct.error,
    IndexError,
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; `values` are those of a constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Operation:
    """One operation; `name` is its output's, by which the quantizer knows it."""

    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, Any] = field(compare=False)

    @property
    def name(self) -> str:
        """The name of the first output."""
        return self.outputs[0].name

    @property
    def elements(self) -> int:
        """Values it writes."""
        return math.prod(self.outputs[0].shape)

    @property
    def is_layer(self) -> bool:
        """Whether it multiplies by weights."""
        return self.kind in LAYERS

    @property
    def macs(self) -> int:
        """True multiply-adds of a layer; 0 for others."""
        if not self.is_layer:
            return 0
        weight = self.inputs[WEIGHT_INPUT].shape
        if self.kind == "TRANSPOSE_CONV":
            return math.prod(self.inputs[2].shape[1:]) * math.prod(weight) // weight[-1]
        if self.kind == "DEPTHWISE_CONV_2D":
            return self.elements * math.prod(weight[1:3])
        return self.elements * math.prod(weight[1:])

    @property
    def computed_in(self) -> str:
        """int8, dynamic_int8, int16 or float."""
        if self.outputs[0].dtype in ("INT8", "INT16"):
            return self.outputs[0].dtype.lower()
        weights = [tensor.dtype for tensor in self.inputs]
        return "dynamic_int8" if self.is_layer and "INT8" in weights else "float"


def read_operations(path: Path) -> list[Operation]:
    """Every operation of the first subgraph in order of execution; raises InputError when it is no .tflite."""
    schema = optional_import("ai_edge_litert.schema_py_generated", "tflite")
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise InputError(f"{path} is not a .tflite file; export it again with: edgegan export")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        kinds = names_of(schema.BuiltinOperator)
        types = names_of(schema.TensorType)
        graph = model.subgraphs[0]
        if graph.operators is None or graph.tensors is None:
            raise ValueError("there is no operation in it")
        tensors = [make_tensor(each, model.buffers, types) for each in graph.tensors]
        found = [make_operation(model, each, tensors, kinds) for each in graph.operators]
    except PARSER_ERRORS as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {str(error)[:200]}); export it again with --overwrite"
        ) from error
    return found


def make_operation(
    model: Any, operator: Any, tensors: list[Tensor], kinds: dict[int, str]
) -> Operation:
    """A schema operator with its tensors; raises ValueError where what it says of them cannot be."""
    made = Operation(
        kinds[kind_of(model, operator)],
        tuple(tensors[index] for index in operator.inputs if index >= 0),
        tuple(tensors[index] for index in operator.outputs),
        dict(vars(operator.builtinOptions)) if operator.builtinOptions else {},
    )
    if not made.outputs:
        raise ValueError(f"{made.kind} makes nothing")
    if len(made.inputs) < LEAST_INPUTS.get(made.kind, 0):
        raise ValueError(f"{made.kind} has {len(made.inputs)} inputs")
    if made.is_layer:
        weight = made.inputs[WEIGHT_INPUT].shape
        pictures = made.kind != "FULLY_CONNECTED"
        if (len(weight) != 4 if pictures else len(weight) < 2) or not all(weight):
            raise ValueError(f"the weights of {made.kind} have shape {weight}")
    if made.kind == "RESIZE_NEAREST_NEIGHBOR" and {4} != {
        len(each.shape) for each in (made.inputs[0], made.outputs[0])
    }:
        raise ValueError(f"{made.kind} is not of pictures")
    return made


def kind_of(model: Any, operator: Any) -> int:
    """The operation's number in BuiltinOperator; small ones stand where files once had them."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def names_of(enumeration: type) -> dict[int, str]:
    """A schema enumeration's values with their names."""
    return {value: key for key, value in vars(enumeration).items() if isinstance(value, int)}


def make_tensor(tensor: Any, buffers: list[Any], types: dict[int, str]) -> Tensor:
    """A schema tensor; float constants with their values."""
    data = buffers[tensor.buffer].data
    dtype = types[tensor.type]
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    if len(shape) > MOST_RANK or any(not 0 <= size < 2**31 for size in shape):
        raise ValueError(f"a tensor has shape {shape[:MOST_RANK]}")
    values = None
    if data is not None and len(data) and dtype == "FLOAT32":
        values = np.frombuffer(bytes(data), np.float32).reshape(shape)
    return Tensor((tensor.name or b"").decode(errors="replace"), shape, dtype, values)


def name_layers(operations: list[Operation], weights: dict[str, np.ndarray]) -> dict[str, str]:
    """The layer of the generator that each weighted operation is: {operation name: dotted module name}.

    Converters keep the classes of modules but lose their places, so layers are recognised by their weights, given as
    {module name: OIHW, or OI for Linear}; one that the converter changed beyond recognition keeps its own name.
    """
    left = {name: as_stored(weight) for name, weight in weights.items()}
    named = {}
    for operation in operations:
        if not operation.is_layer:
            continue
        values = operation.inputs[WEIGHT_INPUT].values
        found = next((name for name, forms in left.items() if matches(values, forms)), None)
        named[operation.name] = found or operation.name.rsplit("/", 1)[-1]
        if found is not None:
            del left[found]
    return named


def as_stored(weight: np.ndarray) -> list[np.ndarray]:
    """The forms in which a TFLite file may hold a torch weight."""
    if weight.ndim == 2:
        return [weight, weight.reshape(weight.shape[0], 1, 1, weight.shape[1])]
    forms = [weight.transpose(0, 2, 3, 1), weight.transpose(1, 2, 3, 0)]
    return [*forms, weight.transpose(1, 2, 3, 0)[:, ::-1, ::-1]]


def matches(values: np.ndarray | None, forms: list[np.ndarray]) -> bool:
    """Whether stored values are one of the forms."""
    if values is None:
        return False
    return any(
        form.shape == values.shape and np.allclose(form, values, rtol=0, atol=WEIGHT_TOLERANCE)
        for form in forms
    )
