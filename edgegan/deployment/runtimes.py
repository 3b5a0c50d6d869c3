"""Runtimes: where they come from, and which of them load a file that no manifest describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Runtime:
    """What computes artefacts. `module` is imported, `package` is its name in a package index, and `extra` that of
    edgegan which installs it."""

    module: str
    package: str
    extra: str


@dataclass(frozen=True)
class Loader:
    """What files of a suffix are: the target they belong to, and the runtimes that load them, best first."""

    target: str
    runtimes: tuple[str, ...]


RUNTIMES: Final = {
    "litert": Runtime("ai_edge_litert", "ai-edge-litert", "bench"),
    "tflite-runtime": Runtime("tflite_runtime", "tflite-runtime", "tflite-runtime"),
    "tensorflow": Runtime("tensorflow", "tensorflow", "tensorflow"),
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", "bench"),
    "torchscript": Runtime("torch", "torch", "train"),
}
LOADERS: Final = {
    ".tflite": Loader("tflite", ("litert", "tflite-runtime", "tensorflow")),
    ".onnx": Loader("onnx", ("onnxruntime",)),
}
TORCHSCRIPT: Final = (".pt", ".ts", ".torchscript")  # networks that judge, never artefacts
