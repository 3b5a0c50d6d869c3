"""How inputs of a generator are kept on disk: exact, and small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from edgegan.package import InputIO, LabelMapIO, NoiseIO


@dataclass(frozen=True)
class Codec:
    """Stores inputs of one kind: pictures as uint8, label maps as class numbers (and a plane of borders), noise as
    float32."""

    spec: InputIO

    def store(self, x: np.ndarray) -> np.ndarray:
        """One input (C, H, W) or (dimension,) as it is kept."""
        if isinstance(self.spec, NoiseIO):
            return x.astype(np.float32)
        if isinstance(self.spec, LabelMapIO):
            kind = np.uint8 if self.spec.classes <= 256 else np.uint16
            classes = x[: self.spec.classes].argmax(0)[None]
            return np.concatenate([classes, x[self.spec.classes :]]).astype(kind)
        return store_picture(x)

    def load(self, stored: np.ndarray) -> torch.Tensor:
        """Kept inputs (N, ...) as the generator takes them, float32."""
        kept = torch.from_numpy(np.array(stored))
        if isinstance(self.spec, NoiseIO):
            return kept
        if isinstance(self.spec, LabelMapIO):
            planes = F.one_hot(kept[:, 0].long(), self.spec.classes).movedim(3, 1).float()
            return torch.cat([planes, kept[:, 1:].float()], 1)
        return load_pictures(kept)


def store_picture(values: np.ndarray) -> np.ndarray:
    """A picture (C, H, W) in [-1, 1] as uint8."""
    return np.clip(np.round((values + 1) * 127.5), 0, 255).astype(np.uint8)


def load_pictures(kept: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as float32 in [-1, 1]."""
    return kept.float() / 127.5 - 1
