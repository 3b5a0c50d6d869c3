"""Every target of `edgegan export`, one line each: its name here is the word of --target."""

# ruff: noqa: F401

from edgegan.export.targets.onnx_target import OnnxTarget as onnx
from edgegan.export.targets.tflite_target import TfliteTarget as tflite
