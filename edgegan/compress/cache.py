"""The teacher's cached arrays, and the batch of a step drawn from them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgegan.compress.teacher import load_input, tap_file
from edgegan.config import Distill
from edgegan.distributed import rank, world_size
from edgegan.files import read_json


class Cache:
    """The teacher's cached arrays, read batch by batch from disk."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "cache.json")
        self.taps: list[str] = about["taps"]
        self.scales: list[float] = about["tap_mean_squares"]
        self.inputs = np.load(folder / "train_input.npy", mmap_mode="r")
        self.outputs = np.load(folder / "train_output.npy", mmap_mode="r")
        self.features = [
            np.load(folder / f"tap{i}.npy", mmap_mode="r") for i in range(len(self.taps))
        ]
        self.validation_inputs = np.load(folder / "validation_input.npy", mmap_mode="r")
        self.validation_outputs = np.load(folder / "validation_output.npy", mmap_mode="r")
        self.search_inputs = self.optional(folder / "search_input.npy")
        self.search_outputs = self.optional(folder / "search_output.npy")
        self.search_features = [
            self.optional(folder / tap_file("search", i)) for i in range(len(self.taps))
        ]

    @staticmethod
    def optional(path: Path) -> np.ndarray:
        """An array that only some methods need; empty where it was not made."""
        return np.load(path, mmap_mode="r") if path.is_file() else np.empty(0)

    def load(self, stored: np.ndarray, device: torch.device) -> torch.Tensor:
        """Stored inputs (N, ...) as the generator takes them."""
        return load_input(stored).to(device)


@dataclass
class Batch:
    """Crops with what the teacher makes of them."""

    x: torch.Tensor
    teacher: torch.Tensor
    features: list[torch.Tensor]
    truth: torch.Tensor | None = None

    def target(self, reconstruction: str) -> torch.Tensor:
        """What the output is compared with: the true picture or the teacher's (GAN Compression, equation 2)."""
        if reconstruction == "teacher" or self.truth is None:
            return self.teacher
        return self.truth

    @property
    def condition(self) -> torch.Tensor:
        """What a conditional discriminator sees beside the image."""
        return self.x

    @property
    def real(self) -> torch.Tensor:
        """What the discriminator calls real: the true picture, or the teacher's where there is none."""
        return self.teacher if self.truth is None else self.truth


def sample(
    cache: Cache, settings: Distill, flip: bool, seed: int, step: int, device: torch.device
) -> Batch:
    """The batch of one step: a function of seed and step alone, so that a resumed run sees what it would have seen.

    Of several processes each takes its own part of a batch that is as many times larger.
    """
    count = len(cache.inputs)
    indices = []
    first = (step * world_size() + rank()) * settings.batch
    for position in range(first, first + settings.batch):
        epoch, place = divmod(position, count)
        order = list(range(count))
        random.Random(f"order:{seed}:{epoch}").shuffle(order)
        indices.append(order[place])
    mirrored = [
        flip and random.Random(f"flip:{seed}:{step}:{rank() * settings.batch + i}").random() < 0.5
        for i in range(settings.batch)
    ]

    def gather(array: np.ndarray) -> np.ndarray:
        rows = [
            array[index][..., ::-1] if mirror else array[index]
            for index, mirror in zip(indices, mirrored, strict=True)
        ]
        return np.stack(rows)

    features = [torch.from_numpy(gather(array)).to(device).float() for array in cache.features]
    outputs = torch.from_numpy(gather(cache.outputs)).to(device).float()
    return Batch(cache.load(gather(cache.inputs), device), outputs, features)
