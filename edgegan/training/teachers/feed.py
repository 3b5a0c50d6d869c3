"""Where the batches of a teacher's training come from, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edgegan.data.batches import Batch, draw_batch, middle_batch, positions
from edgegan.data.datasets import Dataset
from edgegan.recipe.train_section import Train
from edgegan.training.schedule import Schedule

SAMPLES = 4
NOISE_SAMPLES = 64


@dataclass(frozen=True)
class Feed:
    """The examples of a dataset as a recipe takes them, for one of `world` processes."""

    dataset: Dataset
    train: Train
    channels: tuple[int, int]
    latent: int
    seed: int
    device: torch.device
    rank: int = 0
    world: int = 1

    def draw(self, step: int) -> list[Batch]:
        """The batches of a step, one for each discriminator step: the only place where training examples are drawn."""
        count = self.train.discriminator_steps
        return [
            draw_batch(
                self.dataset.train,
                positions(self.train.batch, step * count + index, self.rank, self.world),
                self.seed,
                channels=self.channels,
                noise=self.latent,
            )
            for index in range(count)
        ]

    def held_out(self) -> Batch:
        """The validation examples that are shown and measured on the way."""
        kind = self.dataset.validation.data.kind
        most = NOISE_SAMPLES if kind == "noise" else SAMPLES
        split = self.dataset.validation
        count = min(len(part) for part in (split.inputs, split.targets) if part is not None)
        apart = 1 if kind == "noise" else max(1, count // most)  # neighbours are often alike
        indices = range(0, apart * most if kind == "noise" else min(apart * most, count), apart)
        return middle_batch(
            self.dataset.validation, indices, channels=self.channels, noise=self.latent
        ).to(self.device)


def count_steps(train: Train, examples: int, world: int = 1) -> tuple[int, int]:
    """Generator steps in all, and those at full learning rate."""
    epochs = train.epochs + train.decay_epochs
    a_pass = -(-examples // (train.batch * world * train.discriminator_steps))
    total = train.steps or epochs * a_pass
    return total, total * train.epochs // epochs


def teacher_schedule(train: Train, examples: int, world: int = 1) -> Schedule:
    """The generator's: full rate through the epochs, then a linear fall through the decay epochs."""
    total, constant = count_steps(train, examples, world)
    return Schedule(total, train.learning_rate, train.warmup, constant)
