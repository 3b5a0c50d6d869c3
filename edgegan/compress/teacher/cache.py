"""The teacher's cached arrays, and the batch of a step drawn from them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from edgegan.compress.teacher.live import Live
from edgegan.compress.teacher.outputs import tap_file
from edgegan.data.arrays import open_array
from edgegan.data.batches import choose
from edgegan.data.kept import open_inputs, open_outputs, read_kept
from edgegan.data.stored import Codec, load_pictures
from edgegan.distributed import rank, world_size
from edgegan.package import NoiseIO
from edgegan.recipe.distill_section import Distill
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Training


class Cache:
    """The teacher's cached arrays, read batch by batch from disk.

    `live` makes the teacher in the loop for the taps, where batches are drawn from that instead.
    """

    def __init__(self, folder: Path, live: Callable[[list[str]], Live] | None = None) -> None:
        about = read_kept(folder)
        spec = about.input
        self.codec = Codec(spec)
        self.mirrors = not isinstance(spec, NoiseIO)
        self.taps: list[str] = about.taps
        self.scales: list[float] = about.tap_mean_squares
        self.inputs = open_inputs(folder / "train_input.npy", spec)
        self.outputs = open_outputs(folder / "train_output.npy", self.inputs)
        self.truths = optional(folder / "train_truth.npy")
        self.reals = optional(folder / "train_real.npy")
        self.features = self.tap_arrays(folder, "train")
        self.validation_inputs = open_inputs(folder / "validation_input.npy", spec)
        given = self.validation_inputs
        self.validation_outputs = open_outputs(folder / "validation_output.npy", given)
        self.search_inputs = optional(folder / "search_input.npy")
        self.search_outputs = optional(folder / "search_output.npy")
        self.search_truths = optional(folder / "search_truth.npy")
        self.search_features = self.tap_arrays(folder, "search")
        self.live = None if live is None else live(self.taps)

    @property
    def held(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Inputs and the teacher's outputs of the splits that nothing is trained on."""
        return {
            "validation": (self.validation_inputs, self.validation_outputs),
            "search": (self.search_inputs, self.search_outputs),
        }

    def without_taps(self) -> Cache:
        """The same data without features."""
        plain = copy.copy(self)
        plain.taps, plain.features, plain.scales = [], [], []
        return plain

    def tap_arrays(self, folder: Path, split: str) -> list[np.ndarray]:
        """A split's features, one array a tap."""
        paths = [folder / tap_file(split, index) for index in range(len(self.taps))]
        return [open_array(path) for path in paths if path.is_file()]

    def load(self, stored: np.ndarray, device: torch.device) -> torch.Tensor:
        """Stored inputs (N, ...) as the generator takes them."""
        return self.codec.load(stored).to(device)


def optional(path: Path) -> np.ndarray:
    """An array that only some runs have; empty where it was not made."""
    return open_array(path) if path.is_file() else np.empty(0)


def sample(cache: Cache, settings: Distill, training: Training, step: int) -> Lesson:
    """The lesson of one step: a function of seed and step alone, so that a resumed run sees what it would have seen.

    Of several processes each takes its own part of a batch that is as many times larger.
    """
    seed, flip, device = training.seed, training.flip, training.device
    first = (step * world_size() + rank()) * settings.batch
    positions = range(first, first + settings.batch)
    if cache.live is not None:
        drawn = cache.live.draw(positions, flip, seed)
        x = drawn.x.to(device)
        truth, reals = (
            None if each is None else each.to(device) for each in (drawn.truth, drawn.reals)
        )
        return Lesson(x, *cache.live.teach(x), truth, reals)
    count = len(cache.inputs)
    indices = [choose(count, each, seed, "order") for each in positions]
    mirrored = [
        flip
        and cache.mirrors
        and random.Random(f"flip:{seed}:{step}:{rank() * settings.batch + i}").random() < 0.5
        for i in range(settings.batch)
    ]

    def gather(array: np.ndarray) -> np.ndarray:
        rows = [
            array[index][..., ::-1] if mirror else array[index]
            for index, mirror in zip(indices, mirrored, strict=True)
        ]
        return np.stack(rows)

    def pictures(array: np.ndarray) -> torch.Tensor | None:
        return load_pictures(torch.from_numpy(gather(array))).to(device) if len(array) else None

    features = [torch.from_numpy(gather(array)).to(device).float() for array in cache.features]
    outputs = torch.from_numpy(gather(cache.outputs)).to(device).float()
    return Lesson(
        cache.load(gather(cache.inputs), device),
        outputs,
        features,
        pictures(cache.truths),
        pictures(cache.reals),
    )
