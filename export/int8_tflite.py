"""int8 .tflite files by policy, with any layers left float. Runs in a converter's child process."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.console import say
from edgegan.deployment.trunk import trunk_size
from edgegan.export.calibrate import Learned, find_ranges
from edgegan.export.flatbuffer import Operation, name_layers, read_operations
from edgegan.export.int8_maker import Int8Maker, Int8Request
from edgegan.export.sensitivity import Layer
from edgegan.files import optional_import
from edgegan.metrics.quality import psnr
from edgegan.tensors import to_artefact

TRIAL_IMAGES = 8
MOVES = (
    *("PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "CONCATENATION", "RESHAPE"),
    *("TRANSPOSE", "GATHER", "SPACE_TO_DEPTH"),
)


class TfliteInt8(Int8Maker):
    """Everything needed to quantise one fp32 .tflite again and again."""

    runtime = "litert"

    def __init__(self, request: Int8Request) -> None:
        super().__init__(request)
        dynamic = self.policy == "dynamic"
        self.operations = read_operations(self.source)
        names = name_layers(self.operations, dict(request.weights))
        self.layers = [
            Layer(
                names[each.name],
                (each.name,)
                if dynamic
                else (*before_first(self.operations, each), *with_followers(self.operations, each)),
                each.kind,
                each.macs,
            )
            for each in self.operations
            if each.is_layer and (not dynamic or each.kind == "CONV_2D")
        ]
        self.ranges: dict[str, Any] | None = None
        self.method = request.method
        if not dynamic:
            assert request.calibration is not None
            self.method, self.ranges = self.find_best_ranges(
                request.calibration, request.method, request.learned
            )

    def find_best_ranges(
        self, calibration: np.ndarray, method: str, learned: Learned | None
    ) -> tuple[str, dict[str, Any]]:
        """Ranges by a method; `auto` is min-max or percentile, whichever is closer to fp32 on calibration images."""
        given = to_artefact(calibration, self.takes)
        if method != "auto":
            return method, find_ranges(self.source, given, method, learned)
        images = calibration[:TRIAL_IMAGES]
        reference = self.run(self.source, images)
        trial, found = self.source.with_name("ranges.tflite"), []
        for name in ("min-max", "percentile"):
            self.ranges = find_ranges(self.source, given, name)
            quality = psnr(self.run(self.build(trial), images), reference)
            say(f"  calibrate {name}: {quality:.2f} dB to fp32 on calibration images")
            found.append((quality, name, self.ranges))
        trial.unlink()
        _, name, ranges = max(found, key=lambda each: each[0])
        return name, ranges

    def build(self, path: Path, keep_float: tuple[str, ...] = ()) -> Path:
        """Writes the int8 artefact with these operations float."""
        quantize(self.source, path, self.operations, self.policy, self.ranges, keep_float)
        return path


def before_first(operations: list[Operation], layer: Operation) -> tuple[str, ...]:
    """What only moves the picture before a layer reads it, such as its padding; nothing for layers behind others. In
    int8 it would round the picture that a float layer is given."""
    makers = {tensor.name: each for each in operations for tensor in each.outputs}
    found: list[str] = []
    waiting = [makers[tensor.name] for tensor in layer.inputs if tensor.name in makers]
    while waiting:
        each = waiting.pop()
        if each.kind not in MOVES:
            return ()
        if each.name not in found:
            found.append(each.name)
            waiting += [makers[tensor.name] for tensor in each.inputs if tensor.name in makers]
    return tuple(found)


def with_followers(operations: list[Operation], layer: Operation) -> tuple[str, ...]:
    """A layer and what reads its output before the next layer does: all that must be float for the output to be. It
    ends at a sum with another tensor, else a residual trunk would follow whole."""
    found, followed = {layer.name}, {layer.name}
    for each in operations:
        if each.is_layer or not any(tensor.name in followed for tensor in each.inputs):
            continue
        found.add(each.name)
        if each.kind not in ("ADD", "SUB", "MUL"):
            followed.add(each.name)
    return tuple(each.name for each in operations if each.name in found)


def quantize(
    source: Path,
    path: Path,
    operations: list[Operation],
    policy: str,
    ranges: dict[str, Any] | None,
    keep_float: tuple[str, ...] = (),
) -> None:
    """Writes a .tflite in int8 by `policy`; operations named in `keep_float` stay float.

    Image in and out are float32.
    """
    quantizer_module = optional_import("ai_edge_quantizer.quantizer", "tflite")
    names = optional_import("ai_edge_quantizer.qtyping", "tflite").TFLOperationName
    none = quantizer_module.AlgorithmName.NO_QUANTIZE
    quantizer = quantizer_module.Quantizer(str(source))
    if policy == "dynamic":
        quantizer.add_dynamic_config(regex=".*", operation_name=names.CONV_2D, num_bits=8)
    else:
        bits = 16 if policy == "int16x8" else 8
        quantizer.add_static_config(".*", names.ALL_SUPPORTED, bits, 8)
        for name in (names.INPUT, names.OUTPUT):
            quantizer.update_quantization_recipe(".*", name, algorithm_key=none)
    if policy == "mixed":
        edges = edge_names(operations)
        for operation in operations:
            pattern = exactly(operation.name)
            if operation.name in edges or is_norm(operation):
                quantizer.update_quantization_recipe(
                    pattern, names.ALL_SUPPORTED, algorithm_key=none
                )
            if operation.name in edges and operation.kind == "CONV_2D":
                quantizer.add_dynamic_config(pattern + ".*", names.CONV_2D, 8)
    for name in keep_float:
        quantizer.update_quantization_recipe(
            "(?:)" + exactly(name), names.ALL_SUPPORTED, algorithm_key=none
        )
    # The quantizer writes into the table it is given: without a copy one trial would change the next.
    result = quantizer.quantize(
        copy.deepcopy(ranges), enable_progress_bar=False, enable_progress_report=False
    )
    result.export_model(str(path), overwrite=True)


def exactly(name: str) -> str:
    """A pattern for one operation: the quantizer searches in the names of its outputs, each ended by a semicolon."""
    return f"^{re.escape(name)};"


def is_norm(operation: Operation) -> bool:
    """Whether an operation is part of a norm over the picture: its reductions, and what reads or scales by them."""
    if operation.kind in ("MEAN", "RSQRT", "SQUARED_DIFFERENCE"):
        return True
    shapes = [tensor.shape for tensor in (*operation.inputs, *operation.outputs)]
    return operation.kind in ("ADD", "SUB", "MUL") and any(
        is_per_channel(shape) for shape in shapes
    )


def is_per_channel(shape: tuple[int, ...]) -> bool:
    """(1, 1, 1, C)."""
    return len(shape) == 4 and shape[:3] == (1, 1, 1)


def edge_names(operations: list[Operation]) -> set[str]:
    """Names of operations that work above the resolution of the trunk."""
    pixels = {
        each.name: each.outputs[0].shape[1] * each.outputs[0].shape[2]
        for each in operations
        if len(each.outputs[0].shape) == 4
    }
    total = sum(each.macs for each in operations)
    at: dict[int, int] = {}
    for each in operations:
        if each.macs and each.name in pixels:
            at[pixels[each.name]] = at.get(pixels[each.name], 0) + each.macs
    trunk = trunk_size(at, total)
    slack = 1.5  # a padded picture of the trunk is still the trunk's
    return {name for name, size in pixels.items() if size > slack * trunk}
