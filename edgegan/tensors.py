"""What an artefact's tensors hold: from edgegan's own form (float32 NCHW) into them and back. numpy only.

edgegan's own form: pictures RGB in [-1, 1], label maps one-hot channels and an edge channel, noise (N, dimension).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgegan.artefact import ModelManifest, TensorInfo

Floats = NDArray[np.float32]
Tensor = NDArray[np.generic]


def to_artefact(x: Floats, info: TensorInfo) -> Tensor:
    """(N, ...) in edgegan's own form -> (N, ...) as the artefact's tensor `info` wants it."""
    if info.kind == "noise":
        return x
    values: Tensor = x
    if info.kind == "label_map" and info.encoding == "index":
        assert info.classes is not None
        values = x[:, : info.classes].argmax(1)[:, None].astype(info.dtype)
        if info.instance_edge:
            values = np.concatenate([values, x[:, info.classes :].astype(info.dtype)], axis=1)
    elif info.kind == "image":
        assert info.range is not None
        low, high = info.range
        scaled = (x[:, ::-1] if info.colour == "bgr" else x) * ((high - low) / 2) + (
            (high + low) / 2
        )
        if info.dtype != "float32":
            scaled = np.clip(np.round(scaled), low, high)
        values = scaled.astype(info.dtype)
    if info.layout == "NHWC":
        values = values.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(values)


def from_artefact(values: Tensor, info: TensorInfo) -> Floats:
    """An output picture (N, ...) of an artefact -> (N, C, H, W) RGB in [-1, 1]."""
    assert info.range is not None
    low, high = info.range
    x = values.transpose(0, 3, 1, 2) if info.layout == "NHWC" else values
    x = (x.astype(np.float32) - np.float32((high + low) / 2)) * np.float32(2 / (high - low))
    return np.ascontiguousarray(x[:, ::-1] if info.colour == "bgr" else x)


def example_input(model: ModelManifest, seed: int = 0) -> Tensor:
    """One input (1, ...) of the kind an artefact takes, at its own or its smallest size: noise for pictures and noise,
    random classes for label maps."""
    info = model.inputs[0]
    chance = np.random.default_rng(seed)
    if info.kind == "noise":
        return chance.standard_normal(info.shape).astype(np.float32)
    nhwc = info.layout == "NHWC"
    channels = info.shape[3 if nhwc else 1]
    height, width = model.size
    if info.kind == "image":
        x = chance.uniform(-1, 1, (1, channels, height, width)).astype(np.float32)
        return to_artefact(x, info)
    assert info.classes is not None
    coarse = chance.integers(0, info.classes, (1, -(-height // 16), -(-width // 16)))
    labels = coarse.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    one_hot = (labels[:, None] == np.arange(info.classes)[:, None, None]).astype(np.float32)
    if info.instance_edge:
        one_hot = np.concatenate([one_hot, np.zeros_like(one_hot[:, :1])], axis=1)
    return to_artefact(one_hot, info)
