"""Ranges of activations for static int8: min-max, percentile, or the quantizer's own. Runs in a converter's child."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.console import progress, say
from edgegan.deployment.saturation import TANH_LIMIT
from edgegan.export.flatbuffer import Operation, read_operations
from edgegan.files import optional_import

METHODS = ("auto", "learned", "min-max", "percentile", "moving-average")
PERCENTILE = 99.99
BINS = 2048
VALUES_PER_TENSOR = 65536
COPIES = (
    "SLICE",
    "STRIDED_SLICE",
    "CONCATENATION",
    "RESHAPE",
    "TRANSPOSE",
    "PAD",
    "DEPTH_TO_SPACE",
)
Ranges = dict[str, tuple[float, float]]
GOLDEN_TOLERANCE = 1e-3  # of an activation's reach, beside what rewrites and another runtime change


@dataclass(frozen=True)
class Learned:
    """Ranges that training learned, and the golden input (1, ...) by which their activations are recognised."""

    ends: Sequence[Mapping[str, float]]
    golden: np.ndarray

    def apply(self, ranges: Ranges, reached: Ranges) -> Ranges:
        """The learned range of every tensor that reaches on the golden input what a learned one's activation does;
        the given one of the others."""
        found = dict(ranges)
        used = set()
        for name, (low, high) in reached.items():
            gap, place = min(
                (abs(low - each["golden_low"]) + abs(high - each["golden_high"]), index)
                for index, each in enumerate(self.ends)
            )
            if name in ranges and gap <= GOLDEN_TOLERANCE * (high - low):
                found[name] = (self.ends[place]["low"], self.ends[place]["high"])
                used.add(place)
        say(f"  calibrate learned: {len(used)} of {len(self.ends)} learned ranges have their place")
        return found


def find_ranges(
    model: Path, images: np.ndarray, method: str, learned: Learned | None = None
) -> dict[str, Any]:
    """The quantizer's table {tensor: {"min", "max"}} of an fp32 .tflite over (N, ...) inputs in its own form.

    min-max takes the extremes over all images; learned, what training learned, and the extremes elsewhere. percentile
    leaves out one value in ten thousand at each end, counted in histograms of at most 65,536 evenly spaced values a
    tensor and image. moving-average is the quantizer's own: extremes of one image after another, each moving the range
    by a twentieth; it holds every tensor of an image twice.
    """
    if method == "moving-average":
        return quantizer_ranges(model, images)
    ranges = extremes(model, images)
    if method == "percentile":
        ranges = percentiles(model, images, ranges)
    operations = read_operations(model)
    ranges = clip_before_tanh(join_copies(ranges, operations), operations)
    if method == "learned":
        assert learned is not None
        reached = join_copies(extremes(model, learned.golden), operations)
        ranges = learned.apply(ranges, reached)
    return {
        name: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
        for name, (low, high) in ranges.items()
    }


def as_sample(image: np.ndarray) -> dict[str, np.ndarray]:
    """One input, in the artefact's own form, for its signature."""
    return {"input": np.ascontiguousarray(image)[None]}


def quantizer_ranges(model: Path, images: np.ndarray) -> dict[str, Any]:
    """ai-edge-quantizer's own calibration."""
    quantizer_module = optional_import("ai_edge_quantizer.quantizer", "tflite")
    recipe = optional_import("ai_edge_quantizer.recipe", "tflite")
    quantizer = quantizer_module.Quantizer(str(model))
    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
    samples = [as_sample(image) for image in images]
    return dict(quantizer.calibrate({"serving_default": samples}, num_threads=1))


def tensors_of(model: Path, images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Every float activation of every image in turn, as views that live until the next image: memory does not grow.

    Weights are left out: given one range for a weight, the quantizer would not give each channel its own.
    """
    made = {tensor.name for each in read_operations(model) for tensor in each.outputs}
    interpreter_module = optional_import("ai_edge_litert.interpreter", "tflite")
    interpreter = interpreter_module.Interpreter(
        model_path=str(model), num_threads=2, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    details = [
        (each["name"], each["index"])
        for each in interpreter.get_tensor_details()
        if each["dtype"] is np.float32
        and np.all(each["shape"])
        and (each["name"] in made or each["index"] == place)
    ]
    with progress("calibrate", len(images)) as bar:
        for position, image in enumerate(images):
            interpreter.set_tensor(place, as_sample(image)["input"])
            interpreter.invoke()
            for name, index in details:
                try:
                    yield name, interpreter.get_tensor(index)
                except ValueError:
                    continue  # a scratch tensor without data
            bar.step(position + 1)


def clip_before_tanh(ranges: Ranges, operations: list[Operation]) -> Ranges:
    """Ranges of what only a tanh reads end where it saturates: eight bits over more are steps that show."""
    readers: dict[str, set[str]] = {}
    for operation in operations:
        for tensor in operation.inputs:
            readers.setdefault(tensor.name, set()).add(operation.kind)
    return {
        name: (max(low, -TANH_LIMIT), min(high, TANH_LIMIT))
        if readers.get(name) == {"TANH"}
        else (low, high)
        for name, (low, high) in ranges.items()
    }


def join_copies(ranges: Ranges, operations: list[Operation]) -> Ranges:
    """One range for a tensor and what merely copies it: else a border that lacks the extremes is scaled anew.

    A concatenation is a copy when all its parts come from one tensor, as in padding by reflection.
    """
    source: dict[str, str] = {}

    def root(name: str) -> str:
        while name in source:
            name = source[name]
        return name

    for operation in operations:
        parts = operation.inputs if operation.kind == "CONCATENATION" else operation.inputs[:1]
        roots = {root(part.name) for part in parts}
        if operation.kind in COPIES and len(roots) == 1 and operation.name in ranges:
            source[operation.name] = roots.pop()
    joined = dict(ranges)
    for name in source:
        first, (low, high) = root(name), ranges[name]
        if first in joined:
            joined[first] = (min(joined[first][0], low), max(joined[first][1], high))
    for name in source:
        joined[name] = joined.get(root(name), ranges[name])
    return joined


def extremes(model: Path, images: np.ndarray) -> Ranges:
    """Smallest and largest value of every tensor over all images."""
    ranges: Ranges = {}
    for name, values in tensors_of(model, images):
        low, high = ranges.get(name, (np.inf, -np.inf))
        ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return ranges


def percentiles(model: Path, images: np.ndarray, ranges: Ranges) -> Ranges:
    """The values that leave out 1 - PERCENTILE / 100 of the distribution at each end, to a 2048th of the extremes."""
    counts = {name: np.zeros(BINS, np.int64) for name in ranges}
    for name, values in tensors_of(model, images):
        low, high = ranges[name]
        if high > low:
            flat = values.ravel()
            flat = flat[:: max(1, flat.size // VALUES_PER_TENSOR)]
            bins = ((flat - low) * (BINS / (high - low))).astype(np.int64).clip(0, BINS - 1)
            counts[name] += np.bincount(bins, minlength=BINS)
    return {name: cut(counts[name], *ranges[name]) for name in ranges}


def cut(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The inner edges of a histogram over [low, high] that leave out at most the two tails."""
    total = int(counts.sum())
    if total == 0:
        return low, high
    tail = total * (1 - PERCENTILE / 100)
    below = np.cumsum(counts)
    first = int(np.searchsorted(below, tail, side="right"))
    last = int(np.searchsorted(below, total - tail, side="left"))
    width = (high - low) / len(counts)
    return low + first * width, low + (last + 1) * width
