"""Lint of .onnx files: what ONNX Runtime computes slowly or keeps float."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgegan.errors import InputError
from edgegan.export.lint import SMALL, Finding
from edgegan.files import optional_import

PARSER_ERRORS = (OSError, ValueError, RuntimeError, TypeError, ArithmeticError, MemoryError)


def refused(path: Path, error: Exception) -> InputError:
    """The error that names a file."""
    return InputError(f"{path} is not an .onnx file ({str(error)[:200]}); export it again")


def lint_onnx(path: Path) -> list[Finding]:
    """Every rule over the nodes of an .onnx."""
    onnx = optional_import("onnx", "onnx")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path), load_external_data=False))
    except PARSER_ERRORS as error:
        raise refused(path, error) from error
    except (
        Exception
    ) as error:  # errors of protobuf and of shape inference, without a base of their own
        if not type(error).__module__.startswith(("google.", "onnx")):
            raise
        raise refused(path, error) from error
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
            lambda node: (
                node.op_type == "Transpose"
                and max((sizes.get(name, 0) for name in node.output), default=0) > SMALL
            ),
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
