"""The teacher in the loop: fresh crops at every step, with what the teacher makes of them there and then."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edgegan.compress.teacher.examples import Examples
from edgegan.data.batches import choose, mirrored
from edgegan.data.images import Crop
from edgegan.models.recording import recorder
from edgegan.models.zoo import load_generator
from edgegan.package import InputIO, NoiseIO


@dataclass(frozen=True)
class Drawn:
    """A batch as arrays (N, C, H, W) and (N, latent), before the teacher sees it."""

    x: torch.Tensor
    truth: torch.Tensor | None
    reals: torch.Tensor | None


class Live:
    """Batches for `sample` that no cache holds; each is a function of seed and position alone."""

    def __init__(
        self,
        teacher: Path,
        examples: Examples,
        taps: list[str],
        tap_pool: int,
        device: torch.device,
        *,
        reals: bool,
    ) -> None:
        config, module = load_generator(teacher)
        self.spec: InputIO = config.input
        self.channels = config.output.channels
        self.module: nn.Module = module.to(device).requires_grad_(False)
        self.examples, self.tap_pool = examples, tap_pool
        self.reals = reals and examples.has_reals
        self.recorded: dict[str, torch.Tensor] = {}
        for name in taps:
            module.get_submodule(name).register_forward_hook(recorder(self.recorded, name))
        self.taps = taps

    def draw(self, positions: Sequence[int], flip: bool, seed: int) -> Drawn:
        """The examples at these places of an endless row of shuffled epochs, cropped and mirrored at random."""
        inputs, truths, reals = [], [], []
        for position in positions:
            chance = random.Random(f"live:{seed}:{position}")
            crop = Crop(self.index(position, seed), chance.random(), chance.random())
            x, truth = self.examples.read("train", crop, self.spec, self.channels, seed)
            mirror = flip and chance.random() < 0.5 and not isinstance(self.spec, NoiseIO)
            inputs.append(mirrored(x, mirror))
            if truth is not None:
                truths.append(mirrored(truth, mirror))
            if self.reals:
                reals.append(self.examples.read_real(position, self.channels, seed))
        return Drawn(stack(inputs), *(stack(each) if each else None for each in (truths, reals)))

    def index(self, position: int, seed: int) -> int:
        """The example at a place; noise has one for every place."""
        if isinstance(self.spec, NoiseIO):
            return position
        return choose(self.examples.count("train"), position, seed, "order")

    def teach(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The teacher's output, and its features at the taps, averaged as a cache keeps them."""
        with torch.no_grad():
            output = self.module(x)
            return output, [F.avg_pool2d(self.recorded[name], self.tap_pool) for name in self.taps]


def stack(arrays: list[np.ndarray]) -> torch.Tensor:
    """One tensor of them."""
    return torch.from_numpy(np.stack(arrays))
