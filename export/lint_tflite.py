"""Lint of .tflite files: what XNNPACK does not take, what is slow there, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgegan.deployment.few_outputs import FEW_OUTPUTS
from edgegan.export.flatbuffer import Operation
from edgegan.export.lint import SMALL, Finding

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
class Rule:
    """A pattern: which operations are it, and why it is forbidden."""

    found: Callable[[Operation], bool]
    reason: str
    cost: str = ""


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
    if not is_half_pixel(operation):
        return False
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    return any(after[axis] % before[axis] for axis in (1, 2) if before[axis])


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
