"""The targets of `edgegan export`. A new one is a file here and its line in TARGETS."""

from __future__ import annotations

from edgegan.export.targets.onnx_target import OnnxTarget
from edgegan.export.targets.target import Target
from edgegan.export.targets.tflite_target import TfliteTarget

TARGETS: dict[str, Target] = {
    "onnx": OnnxTarget(),
    "tflite": TfliteTarget(),
}
DEFAULT_TARGETS = ("onnx", "tflite")
