"""Mobile lint: patterns in an artefact that are slow or wrong on devices, each with its reason and its cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgegan.console import table
from edgegan.deployment.few_outputs import FEW_OUTPUTS
from edgegan.errors import InputError
from edgegan.export.flatbuffer import Operation, read_operations
from edgegan.files import optional_import

SMALL = 4096  # elements below which nothing is worth a finding
# Nanoseconds an element, one thread, LiteRT 2.3.0 on an AMD EPYC, operation alone (make bench-lint-costs).
NANOSECONDS = {
    ("TRANSPOSE", "float"): 0.17,
    ("TRANSPOSE", "int8"): 0.16,
    ("MIRROR_PAD", "float"): 9.0,
    ("MIRROR_PAD", "int8"): 15.0,
    ("STRIDED_SLICE", "float"): 4.5,
    ("STRIDED_SLICE", "int8"): 4.5,
    ("RESIZE_NEAREST_NEIGHBOR", "float"): 0.18,
    ("RESIZE_NEAREST_NEIGHBOR", "int8"): 0.18,
    ("RELU", "int8"): 3.1,
    ("SQUARED_DIFFERENCE", "int8"): 11.3,
    ("RSQRT", "int8"): 119.0,
    ("GATHER", "float"): 0.09,
    ("GATHER", "int8"): 0.02,
}
IN_XNNPACK = {
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "LEAKY_RELU", "PRELU", "TANH", "LOGISTIC"),
    *("MEAN", "SUM", "TRANSPOSE", "RESHAPE", "PAD", "CONCATENATION", "SLICE", "SPLIT", "ELU"),
    *("RESIZE_BILINEAR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "CONV_2D", "DEPTHWISE_CONV_2D"),
    *("TRANSPOSE_CONV", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE"),
    *("DEQUANTIZE", "SOFTMAX", "BATCH_MATMUL"),
}
IN_XNNPACK_FLOAT = {
    *("RELU", "RELU6", "RELU_N1_TO_1", "SQUARED_DIFFERENCE", "RSQRT", "SQRT", "SQUARE", "ABS"),
    *("NEG", "EXP", "LOG", "HARD_SWISH", "GELU", "FLOOR", "CEIL", "ROUND"),
}


@dataclass(frozen=True)
class Finding:
    """One forbidden pattern with everything it was found in."""

    rule: str
    count: int
    where: str
    reason: str
    cost: str

    def as_dict(self) -> dict[str, Any]:
        """For model.json and --json."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A pattern: which operations are it, and why it is forbidden."""

    found: Callable[[Operation], bool]
    reason: str
    cost: str = ""


def in_float(operation: Operation) -> bool:
    """Whether an operation computes in float."""
    return operation.computed_in == "float"


def is_layout_change(operation: Operation) -> bool:
    """A four-dimensional transpose of a whole picture; the six-dimensional ones are depth_to_space."""
    return operation.kind == "TRANSPOSE" and len(operation.outputs[0].shape) == 4


def is_half_pixel(operation: Operation) -> bool:
    """Nearest resize that samples at pixel centres."""
    return operation.kind == "RESIZE_NEAREST_NEIGHBOR" and bool(
        operation.options.get("halfPixelCenters")
    )


def is_wrong_nearest(operation: Operation) -> bool:
    """Half-pixel nearest by anything but a whole enlargement picks other pixels than PyTorch."""
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    return is_half_pixel(operation) and any(
        after[axis] % before[axis] for axis in (1, 2) if before[axis]
    )


def is_narrow_head(operation: Operation) -> bool:
    """A spatial convolution without stride to at most four channels."""
    if operation.kind != "CONV_2D" or len(operation.inputs[1].shape) != 4:
        return False
    outputs, height, width, _ = operation.inputs[1].shape
    strided = operation.options.get("strideW", 1) > 1
    return outputs <= FEW_OUTPUTS and min(height, width) > 1 and not strided


def leaves_xnnpack(operation: Operation) -> bool:
    """Operations that no other rule names and that run outside XNNPACK."""
    kind, computed = operation.kind, operation.computed_in
    if computed == "int16" or kind == "RESIZE_NEAREST_NEIGHBOR":
        return False
    named = kind in ("MIRROR_PAD", "STRIDED_SLICE") or (
        computed == "int8" and kind in ("RELU", "RSQRT", "SQUARED_DIFFERENCE")
    )
    return not named and not (
        kind in IN_XNNPACK or (computed == "float" and kind in IN_XNNPACK_FLOAT)
    )


RULES = {
    "transpose": Rule(
        is_layout_change,
        "the picture changes layout between channel-last and channel-first, usually around a norm that was not "
        "rewritten for channel-last",
    ),
    "mirror_pad": Rule(
        lambda op: op.kind == "MIRROR_PAD",
        "reflection padding is not in XNNPACK; slices and a concatenation are",
    ),
    "half_pixel_nearest": Rule(
        is_wrong_nearest,
        "nearest resize at pixel centres picks other pixels than PyTorch when it does not enlarge by a whole factor: "
        "the result is wrong, silently",
        "tens of decibels of parity",
    ),
    "nearest_outside_xnnpack": Rule(
        lambda op: op.kind == "RESIZE_NEAREST_NEIGHBOR" and not is_wrong_nearest(op),
        "nearest resize is not in XNNPACK: the graph is split around it",
    ),
    "strided_slice": Rule(
        lambda op: op.kind == "STRIDED_SLICE" and op.elements > SMALL,
        "a slice with steps is not in XNNPACK and copies value by value",
    ),
    "int8_relu": Rule(
        lambda op: op.kind == "RELU" and op.computed_in == "int8",
        "a ReLU alone in int8 is not in XNNPACK; fused into the operation before it is free",
    ),
    "int8_norm": Rule(
        lambda op: op.kind in ("SQUARED_DIFFERENCE", "RSQRT") and op.computed_in == "int8",
        "a norm over the picture in int8 runs on reference kernels and loses its statistics to eight bits",
        "ten decibels and more",
    ),
    "dynamic_depthwise": Rule(
        lambda op: op.kind == "DEPTHWISE_CONV_2D" and op.computed_in == "dynamic_int8",
        "dynamic int8 depthwise convolutions are slower than float ones and lose a decibel",
    ),
    "int16_activations": Rule(
        lambda op: op.computed_in == "int16" and op.kind not in ("QUANTIZE", "DEQUANTIZE"),
        "int16 activations have no XNNPACK kernels: every operation runs on reference kernels",
        "tens of times the float latency",
    ),
    "narrow_head": Rule(
        is_narrow_head,
        "a convolution to at most four channels leaves most of a vector register idle; two steps at once and "
        "depth_to_space fill it",
    ),
    "outside_xnnpack": Rule(
        leaves_xnnpack,
        "the operation is not in XNNPACK: it runs on a plain kernel and splits the graph",
    ),
}


def lint(path: Path) -> list[Finding]:
    """The findings of an artefact, .tflite or .onnx."""
    return lint_onnx(path) if path.suffix == ".onnx" else lint_tflite(read_operations(path))


def lint_tflite(operations: list[Operation]) -> list[Finding]:
    """Every rule over the operations of a .tflite."""
    findings = []
    for name, rule in RULES.items():
        found = [each for each in operations if rule.found(each) and each.elements]
        big = [each for each in found if each.elements > SMALL]
        if not big:
            continue
        findings.append(Finding(name, len(big), places(big), rule.reason, rule.cost or cost(big)))
    return findings


def places(operations: list[Operation]) -> str:
    """The largest operation and its shape, and how many more there are."""
    largest = max(operations, key=lambda each: each.elements)
    shape = "x".join(map(str, largest.outputs[0].shape))
    more = f" and {len(operations) - 1} more" if len(operations) > 1 else ""
    return f"{largest.kind} {shape}{more}"


def cost(operations: list[Operation]) -> str:
    """Milliseconds by single-operation timings of the reference machine, where all were timed; else the elements."""
    total, known = 0.0, True
    for each in operations:
        nanoseconds = NANOSECONDS.get((each.kind, each.computed_in))
        known = known and nanoseconds is not None
        total += (nanoseconds or 0.0) * each.elements
    elements = sum(each.elements for each in operations)
    if known:
        return f"about {total / 1e6:.2f} ms (by single-operation timings on an AMD EPYC, 1 thread)"
    return f"not timed; {elements / 1e6:.2f} M values"


def lint_onnx(path: Path) -> list[Finding]:
    """Every rule over the nodes of an .onnx."""
    onnx = optional_import("onnx", "onnx")
    message = optional_import("google.protobuf.message", "onnx")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except (message.DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path} is not an .onnx file ({error}); export it again") from error
    nodes = model.graph.node
    quantised = any(node.op_type == "QuantizeLinear" for node in nodes)
    sizes = {
        value.name: math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in [*model.graph.value_info, *model.graph.output]
    }

    def attribute(node: Any, name: str) -> Any:
        found = [onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name]
        return found[0] if found else None

    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "half_pixel_nearest": (
            lambda node: (
                node.op_type == "Resize"
                and attribute(node, "mode") in (None, b"nearest")
                and attribute(node, "coordinate_transformation_mode") in (None, b"half_pixel")
            ),
            "nearest resize at pixel centres picks other pixels than PyTorch unless it enlarges by a whole factor",
        ),
        "transpose": (
            lambda node: node.op_type == "Transpose" and sizes.get(node.output[0], 0) > SMALL,
            "the picture changes layout; ONNX Runtime computes channel-first",
        ),
        "float_transposed_convolution": (
            lambda node: quantised and node.op_type == "ConvTranspose",
            "ONNX Runtime has no int8 transposed convolution: it stays float between conversions",
        ),
        "quantised_norm": (
            lambda node: (
                quantised and node.op_type in ("InstanceNormalization", "GroupNormalization")
            ),
            "a norm over the picture stays float between conversions",
        ),
    }
    findings = []
    for name, (found, reason) in rules.items():
        hits = [node for node in nodes if found(node)]
        if hits:
            where = f"{hits[0].op_type} {hits[0].name}"
            more = f" and {len(hits) - 1} more" if len(hits) > 1 else ""
            findings.append(Finding(name, len(hits), where + more, reason, "not timed"))
    return findings


def as_text(findings: list[Finding]) -> str:
    """The findings for people."""
    if not findings:
        return "lint: nothing found"
    rows = [[each.rule, str(each.count), each.where, each.cost] for each in findings]
    reasons = "\n".join(f"{each.rule}: {each.reason}" for each in findings)
    return f"{table(['rule', 'found', 'largest', 'cost'], rows)}\n{reasons}"
