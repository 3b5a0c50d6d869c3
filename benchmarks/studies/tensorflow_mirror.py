"""The ResNet and CartoonGAN generators written once more in TensorFlow, for `make bench-exporters` to convert.

Run by a Python that has tensorflow (and neither torch nor edgegan): tensorflow_mirror.py JOB.json with
{"spec", "family", "weights" (.npz by our state-dict names), "calibration" (.npy NHWC), "size", "output", "int8"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class Mirror:
    """The generator's forward in NHWC, as one would write it by hand: reflection by tf.pad, norms by tf.nn.moments."""

    def __init__(self, spec: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self.spec, self.weights = spec, weights
        self.eps = spec.get("norm_eps", 1e-5)

    def constant(self, name: str) -> Any:
        return tf.constant(self.weights[name])

    def bias(self, name: str) -> Any:
        return self.constant(name) if name in self.weights else 0.0

    def conv(self, x: Any, name: str, stride: int = 1, pad: int = 0) -> Any:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        if pad:
            x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        return tf.nn.conv2d(x, tf.constant(kernel), stride, "VALID") + self.bias(f"{name}.bias")

    def depthwise(self, x: Any, name: str) -> Any:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 0, 1)
        y = tf.nn.depthwise_conv2d(x, tf.constant(kernel), [1, 1, 1, 1], "VALID")
        return y + self.bias(f"{name}.bias")

    def double(self, x: Any, name: str) -> Any:
        """3x3 stride 2 padding 1 output padding 1: the whole transposed convolution, cut by one row and column."""
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        _, height, width, _ = x.shape
        whole = [1, 2 * height + 1, 2 * width + 1, kernel.shape[2]]
        y = tf.nn.conv2d_transpose(x, tf.constant(kernel), whole, 2, "VALID")
        return y[:, 1:, 1:] + self.bias(f"{name}.bias")

    def norm(self, x: Any, name: str) -> Any:
        weights = self.weights
        scale = self.bias(f"{name}.weight") if f"{name}.weight" in weights else None
        shift = self.bias(f"{name}.bias") if f"{name}.bias" in weights else None
        if f"{name}.running_mean" in weights:
            mean = weights[f"{name}.running_mean"]
            variance = weights[f"{name}.running_var"]
            return tf.nn.batch_normalization(x, mean, variance, shift, scale, self.eps)
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, self.eps)

    def block_conv(self, x: Any, name: str) -> Any:
        x = reflect(x, 1)
        if self.spec["block"] != "separable":
            return self.conv(x, name)
        y = self.norm(self.depthwise(x, f"{name}.depthwise"), f"{name}.norm")
        return self.conv(y, f"{name}.pointwise")

    def scaling(self, x: Any, name: str, *, down: bool) -> Any:
        """A scaling stage: one layer, or in CartoonGAN a Sequential of one or two."""
        first = name if f"{name}.weight" in self.weights else f"{name}.0"
        x = self.conv(x, first, 2, 1) if down else self.double(x, first)
        return self.conv(x, f"{name}.1", 1, 1) if f"{name}.1.weight" in self.weights else x

    def __call__(self, x: Any) -> Any:
        x = tf.nn.relu(self.norm(self.conv(reflect(x, 3), "stem"), "stem_norm"))
        for name in ("down1", "down2"):
            x = tf.nn.relu(self.norm(self.scaling(x, name, down=True), f"{name}_norm"))
        for index in range(len(self.spec["inner"])):
            name = f"blocks.{index}"
            y = tf.nn.relu(self.norm(self.block_conv(x, f"{name}.conv1"), f"{name}.norm1"))
            x = x + self.norm(self.block_conv(y, f"{name}.conv2"), f"{name}.norm2")
        for name in ("up1", "up2"):
            x = tf.nn.relu(self.norm(self.scaling(x, name, down=False), f"{name}_norm"))
        return tf.tanh(self.conv(reflect(x, 3), "head"))


def reflect(x: Any, pad: int) -> Any:
    """Reflection padding."""
    return tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]], "REFLECT")


def main() -> None:
    """Converts the job's generator and writes the .tflite."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    mirror = Mirror(job["spec"], dict(np.load(job["weights"])))
    height, width = job["size"]
    signature = [tf.TensorSpec([1, height, width, 3], tf.float32, name="input")]
    function = tf.function(mirror, input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    if job["int8"]:
        images = np.load(job["calibration"])

        def representative() -> Iterator[list[np.ndarray]]:
            for image in images:
                yield [image[None]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
    Path(job["output"]).write_bytes(converter.convert())


if __name__ == "__main__":
    main()
