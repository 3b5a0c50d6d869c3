"""The batch of a step: a function of seed and step alone, so that a resumed run sees what it would have seen."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import torch

from edgegan.data.datasets import Split
from edgegan.data.images import Crop, Floats

T = TypeVar("T")
AHEAD = 4


@dataclass
class Batch:
    """Inputs (N, C, H, W), or noise (N, dimension); targets (N, C, H, W) where the kind has them."""

    input: torch.Tensor
    target: torch.Tensor | None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        target = None if self.target is None else self.target.to(device, non_blocking=True)
        return Batch(self.input.to(device, non_blocking=True), target)


def positions(batch: int, step: int, rank: int = 0, world: int = 1) -> range:
    """Places in the endless order of examples that this rank takes at this step.

    Ranks take neighbouring parts, so that `world` ranks of `batch` see what one of `world * batch` sees.
    """
    first = (step * world + rank) * batch
    return range(first, first + batch)


@lru_cache(maxsize=8)
def shuffled(count: int, name: str) -> list[int]:
    """The order of one epoch."""
    order = list(range(count))
    random.Random(name).shuffle(order)
    return order


def choose(count: int, position: int, seed: int, order: str) -> int:
    """The example at a place of the endless order: every one is used once before any is used again."""
    epoch, place = divmod(position, count)
    return shuffled(count, f"{order}:{seed}:{epoch}")[place]


def draw_noise(dimension: int, places: range, seed: int, order: str = "noise") -> torch.Tensor:
    """(len(places), dimension) standard normal noise; each row depends on seed, order and its place alone."""
    start = random.Random(f"{order}:{seed}").getrandbits(63)
    rows = [
        np.random.default_rng([start, place]).standard_normal(dimension, np.float32)
        for place in places
    ]
    return torch.from_numpy(np.stack(rows))


def draw_batch(
    split: Split,
    places: range,
    seed: int,
    *,
    channels: tuple[int, int] = (3, 3),
    noise: int = 128,
) -> Batch:
    """The batch of these `positions`: random crops, mirrored at random when data.flip; partners share both.

    `channels` are those of input and target pictures, `noise` the values of a noise input. Raises InputError
    naming a file that became unreadable.
    """
    inputs: list[Floats] = []
    targets: list[Floats] = []
    for position in places:
        chance = random.Random(f"augment:{seed}:{position}")
        crop = Crop(0, chance.random(), chance.random())
        mirror = split.data.flip and chance.random() < 0.5
        partner, partner_mirror = crop, mirror
        if split.data.kind == "unpaired":
            partner = Crop(0, chance.random(), chance.random())
            partner_mirror = split.data.flip and chance.random() < 0.5
        if split.inputs is not None:
            index = choose(len(split.inputs), position, seed, "order")
            inputs.append(mirrored(split.read_input(index, crop, channels[0]), mirror))
        if split.targets is not None:
            order = "order_b" if split.data.kind == "unpaired" else "order"
            index = choose(len(split.targets), position, seed, order)
            targets.append(mirrored(split.read_target(index, partner, channels[1]), partner_mirror))
    made = torch.from_numpy(np.stack(inputs)) if inputs else draw_noise(noise, places, seed)
    return Batch(made, torch.from_numpy(np.stack(targets)) if targets else None)


def mirrored(values: Floats, mirror: bool) -> Floats:
    """(C, H, W), left and right exchanged when `mirror`."""
    return np.ascontiguousarray(values[:, :, ::-1]) if mirror else values


def middle_batch(
    split: Split, indices: range, *, channels: tuple[int, int] = (3, 3), noise: int = 128
) -> Batch:
    """Centre crops, never mirrored: for validation. For kind unpaired both domains use the same indices, wrapped."""
    crop = Crop(0, 0.5, 0.5)
    inputs, targets = split.inputs, split.targets
    made = (
        torch.from_numpy(
            np.stack([split.read_input(i % len(inputs), crop, channels[0]) for i in indices])
        )
        if inputs is not None
        else draw_noise(noise, indices, 0, "validation noise")
    )
    if targets is None:
        return Batch(made, None)
    wanted = [split.read_target(i % len(targets), crop, channels[1]) for i in indices]
    return Batch(made, torch.from_numpy(np.stack(wanted)))


class Ahead(Generic[T]):
    """Context in which `take(step)` gives `draw(step)`; steps are asked for in order, and the next few below `stop` are
    drawn meanwhile in threads (decoding releases the lock)."""

    def __init__(self, draw: Callable[[int], T], stop: int, threads: int = 2) -> None:
        self.draw, self.stop = draw, stop
        self.pool = ThreadPoolExecutor(threads)
        self.waiting: deque[Future[T]] = deque()

    def __enter__(self) -> Ahead[T]:
        return self

    def take(self, step: int) -> T:
        """What is drawn for a step: the first that is asked for, or the one after the last."""
        while len(self.waiting) < min(AHEAD, self.stop - step):
            self.waiting.append(self.pool.submit(self.draw, step + len(self.waiting)))
        return self.waiting.popleft().result()

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
