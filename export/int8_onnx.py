"""int8 .onnx files in QDQ form: which convolutions are int8 is chosen by measuring. Runs in a converter's child."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.deployment.saturation import TANH_LIMIT
from edgegan.deployment.trunk import trunk_size
from edgegan.export.calibrate import Learned, Ranges
from edgegan.export.int8_maker import Int8Maker, Int8Request
from edgegan.export.sensitivity import Layer
from edgegan.files import optional_import
from edgegan.metrics.quality import psnr
from edgegan.runtime.worker import OnnxRuntime
from edgegan.tensors import to_artefact

ROUNDS = 8
RESOLUTIONS = 4
SAME_SPEED = 1.03


class Images:
    """Feeds (N, C, H, W) float32 images to ONNX Runtime's calibrator one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self.images: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, or None at the end."""
        image = next(self.images, None)
        return None if image is None else {"input": np.ascontiguousarray(image[None])}


class OnnxInt8(Int8Maker):
    """Everything needed to quantise one fp32 .onnx again and again: calibrated once."""

    runtime = "onnxruntime"

    def __init__(self, request: Int8Request) -> None:
        super().__init__(request)
        onnx = optional_import("onnx", "onnx")
        inference = optional_import("onnxruntime.quantization.shape_inference", "onnx")
        self.method = "min-max" if request.method == "auto" else request.method
        self.prepared = self.source.with_suffix(".prepared.onnx")
        inference.quant_pre_process(str(self.source), str(self.prepared), skip_symbolic_shape=True)
        model = with_size(onnx, onnx.load(str(self.prepared)), self.takes.shape)
        self.layers = list_layers(onnx, model, request.weights)
        self.shapes = output_shapes(model)
        self.depthwise = {
            node.name
            for node in model.graph.node
            if any(each.name == "group" and each.i > 1 for each in node.attribute)
        }
        self.left_float: set[str] = set()
        if self.policy == "mixed":
            self.left_float = {each.operations[0] for each in self.layers} - self.up_to(
                trunk_pixels(self.layers, self.shapes)
            )
        self.ranges = None
        if self.policy != "dynamic":
            assert request.calibration is not None
            self.ranges = self.find_ranges(model, request.calibration, request.learned)

    def find_ranges(self, model: Any, calibration: np.ndarray, learned: Learned | None) -> Any:
        """ONNX Runtime's table of ranges, with those that training learned where the method goes by them."""
        ranges = calibrate(self.prepared, to_artefact(calibration, self.takes), self.method)
        clip_before_tanh(ranges, model)
        if self.method == "learned":
            assert learned is not None
            reached = calibrate(self.prepared, learned.golden, "min-max")
            ends = learned.apply(as_ranges(ranges), as_ranges(reached))
            for name, (low, high) in ends.items():
                ranges.data[name].lowest = np.float32(low)
                ranges.data[name].highest = np.float32(high)
        return ranges

    def up_to(self, pixels: int) -> set[str]:
        """Convolutions whose output has at most this many pixels."""
        return {
            each.operations[0] for each in self.layers if self.shapes[each.operations[0]] <= pixels
        }

    def build(self, path: Path, keep_float: tuple[str, ...] = ()) -> Path:
        """Writes the int8 artefact with these convolutions float."""
        excluded = [*keep_float, *self.left_float]
        if self.policy == "dynamic":
            quantization = optional_import("onnxruntime.quantization", "onnx")
            quantization.quantize_dynamic(
                str(self.prepared),
                str(path),
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=[*excluded, *self.depthwise],
                weight_type=quantization.QuantType.QUInt8,
            )
            return path
        write_qdq(self.prepared, path, self.ranges, excluded)
        return path

    def settle(
        self, proof: np.ndarray, reference: np.ndarray, enough_db: float
    ) -> list[dict[str, Any]]:
        """Settles which convolutions stay float under `auto`; returns every form tried, the chosen one marked.

        Forms are nested by resolution, with and without depthwise convolutions. The fastest of those that reach
        `enough_db` against fp32 is chosen, or the best when none does; of two equally fast ones the better.
        """
        if self.policy != "auto":
            return []
        self.policy = "static"
        forms = self.forms()
        tried: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory(dir=self.source.parent) as folder:
            paths = [self.source]
            for index, (name, inside) in enumerate(forms):
                self.left_float = {each.operations[0] for each in self.layers} - inside
                paths.append(self.build(Path(folder) / f"{index}.onnx"))
                quality = psnr(self.run(paths[-1], proof), reference)
                tried.append({"form": name, "int8_layers": len(inside), "psnr_db": quality})
            times = interleaved_ms(paths, to_artefact(proof[:1], self.takes))
        for form, milliseconds in zip(tried, times[1:], strict=True):
            form.update(latency_ms=milliseconds, fp32_latency_ms=times[0])
        chosen = pick(tried, enough_db)
        tried[chosen]["chosen"] = True
        self.left_float = {each.operations[0] for each in self.layers} - forms[chosen][1]
        return tried

    def forms(self) -> list[tuple[str, set[str]]]:
        """Names of the forms `auto` tries and the convolutions that are int8 in each, widest first, none twice."""
        sizes = sorted({self.shapes[each.operations[0]] for each in self.layers}, reverse=True)
        step = max(1, math.ceil(len(sizes) / RESOLUTIONS))
        found: dict[str, set[str]] = {}
        for pixels in [*sizes[::step], sizes[-1]]:
            for suffix, without in (("", set()), (", dense only", self.depthwise)):
                inside = self.up_to(pixels) - without
                if inside and inside not in found.values():
                    found[f"up to {pixels} pixels{suffix}"] = inside
        return list(found.items())


def with_size(onnx: Any, model: Any, shape: list[int]) -> Any:
    """The model with its input of this shape, and every shape that follows from it."""
    for dimension, length in zip(
        model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True
    ):
        dimension.dim_value = length
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model)


def list_layers(onnx: Any, model: Any, weights: Mapping[str, np.ndarray]) -> list[Layer]:
    """The convolutions that ONNX Runtime computes in int8, with the generator's names for them."""
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    left, shapes, layers = dict(weights), output_shapes(model), []
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        values = constants[node.input[1]]
        name = next(
            (
                name
                for name, each in left.items()
                if each.shape == values.shape and np.allclose(each, values, rtol=0, atol=1e-5)
            ),
            None,
        )
        if name is not None:
            del left[name]
        macs = shapes[node.name] * values.size
        layers.append(Layer(name or node.name, (node.name,), node.op_type, macs))
    return layers


def output_shapes(model: Any) -> dict[str, int]:
    """Height times width of every node's four-dimensional output."""
    sizes = {}
    for value in [*model.graph.value_info, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) == 4:
            sizes[value.name] = dimensions[2].dim_value * dimensions[3].dim_value
    return {node.name: sizes.get(node.output[0], 0) for node in model.graph.node}


def trunk_pixels(layers: list[Layer], shapes: dict[str, int]) -> int:
    """The resolution of the trunk."""
    macs: dict[int, int] = {}
    for each in layers:
        pixels = shapes[each.operations[0]]
        macs[pixels] = macs.get(pixels, 0) + each.macs
    return trunk_size(macs)


def calibrate(prepared: Path, images: np.ndarray, method: str) -> Any:
    """ONNX Runtime's table of activation ranges; images go through one at a time."""
    quantization = optional_import("onnxruntime.quantization", "onnx")
    calibration = optional_import("onnxruntime.quantization.calibrate", "onnx")
    kinds = {
        "min-max": (calibration.CalibrationMethod.MinMax, {}),
        "learned": (calibration.CalibrationMethod.MinMax, {}),
        "moving-average": (
            calibration.CalibrationMethod.MinMax,
            {"moving_average": True, "averaging_constant": 0.05},
        ),
        "percentile": (
            calibration.CalibrationMethod.Percentile,
            {"num_bins": 2048, "percentile": 99.99},
        ),
    }
    kind, options = kinds[method]
    with tempfile.TemporaryDirectory() as folder:
        calibrator = calibration.create_calibrator(
            str(prepared),
            ["Conv"],
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=kind,
            extra_options=options,
        )
        for image in images:
            reader = type("Reader", (Images, quantization.CalibrationDataReader), {})(image[None])
            calibrator.collect_data(reader)
        return calibrator.compute_data()


def as_ranges(table: Any) -> Ranges:
    """A table's ends by tensor."""
    return {
        name: (float(np.min(found.lowest)), float(np.max(found.highest)))
        for name, found in table.data.items()
    }


def clip_before_tanh(ranges: Any, model: Any) -> None:
    """Ends ranges of what only a tanh reads where it saturates, as for TFLite."""
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    for name, kinds in readers.items():
        if kinds == {"Tanh"} and name in ranges.data:
            found = ranges.data[name]
            found.lowest = np.maximum(found.lowest, np.float32(-TANH_LIMIT))
            found.highest = np.minimum(found.highest, np.float32(TANH_LIMIT))


def write_qdq(prepared: Path, path: Path, ranges: Any, excluded: list[str]) -> None:
    """Writes the QDQ form: weights per channel, activations per tensor and asymmetric, `excluded` float."""
    onnx = optional_import("onnx", "onnx")
    qdq = optional_import("onnxruntime.quantization.qdq_quantizer", "onnx")
    quantization = optional_import("onnxruntime.quantization", "onnx")
    quantizer = qdq.QDQQuantizer(
        onnx.load(str(prepared)),
        True,
        False,
        quantization.QuantType.QInt8,
        quantization.QuantType.QInt8,
        ranges,
        [],
        excluded,
        ["Conv"],
        {"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(path))


def interleaved_ms(paths: list[Path], image: np.ndarray) -> list[float]:
    """Fastest inference of each artefact on one thread, in rounds that take all of them in turn."""
    runners = [OnnxRuntime(str(path), "onnxruntime", 1) for path in paths]
    fastest = [math.inf] * len(runners)
    for turn in range(ROUNDS):
        for index, runner in enumerate(runners):
            runner.set_input(np.ascontiguousarray(image))
            began = time.perf_counter()
            runner.invoke()
            if turn:
                fastest[index] = min(fastest[index], (time.perf_counter() - began) * 1e3)
    return fastest


def pick(tried: list[dict[str, Any]], enough_db: float) -> int:
    """The index of the chosen form: see `OnnxInt8.settle`."""
    good = [index for index, form in enumerate(tried) if form["psnr_db"] >= enough_db]
    if not good:
        return max(range(len(tried)), key=lambda index: tried[index]["psnr_db"])
    best = min(tried[index]["latency_ms"] for index in good)
    fast = [index for index in good if tried[index]["latency_ms"] <= SAME_SPEED * best]
    return max(fast, key=lambda index: tried[index]["psnr_db"])
