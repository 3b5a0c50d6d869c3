"""Bytes of an int8 .tflite beside its weights."""

from __future__ import annotations

from typing import Final

STEP_BYTES: Final = 12  # a float32 scale and an int64 zero point for each quantised output channel
# Bytes of a .tflite that no width changes: operators, tensors and their names, by the layer that they come from.
# Fitted by benchmarks/studies/file_sizes.py to files that `edgegan export` wrote.
DYNAMIC_OVERHEAD: Final = {
    "file": 193.0,
    "convolution": 707.0,
    "doubling": 585.0,
    "depthwise": 88.0,
    "norm": 1186.0,
    "pad_pixel": 1279.0,
}
STATIC_OVERHEAD: Final = {
    "file": 0.0,
    "convolution": 749.0,
    "doubling": 1208.0,
    "depthwise": 377.0,
    "norm": 0.0,
    "pad_pixel": 701.0,
}
