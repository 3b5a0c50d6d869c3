"""What every method is, and its steps in the loop that all trainings share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from edgegan.channels.program import evaluating
from edgegan.data.batches import Ahead, Batch
from edgegan.training.loop import Terms, Training, run_steps
from edgegan.training.teachers.feed import Feed
from edgegan.training.teachers.parts import Parts
from edgegan.training.teachers.samples import write_samples


class TeacherMethod(Protocol):
    """One method: what it changes, a step, and what is shown and measured of it in evaluation mode."""

    parts: Parts

    def take_step(self, batches: list[Batch], step: int) -> Terms: ...

    def show(self, batch: Batch) -> list[torch.Tensor]: ...

    def measure(self, batch: Batch) -> dict[str, float]: ...


def teach(method: TeacherMethod, label: str, feed: Feed, training: Training, samples: Path) -> None:
    """Takes all steps, resuming the checkpoint; `samples` gets a picture of held-out examples at every validation.

    Raises TrainingError naming step and term, or weight, that is not finite.
    """
    held_out = feed.held_out()
    networks = method.parts.modules.values()
    for module in networks:
        module.train()
    with Ahead(feed.draw, training.schedule.steps) as drawn:

        def take_step(step: int) -> Terms:
            batches = [batch.to(feed.device) for batch in drawn.take(step)]
            seed_step(feed.seed, step, feed.rank)
            method.parts.set_rates(training.schedule, step)
            return method.take_step(batches, step)

        def look(done: int) -> dict[str, float]:
            with evaluating(*networks):
                path = samples / f"step{done:08d}.png"
                write_samples(path, method.show(held_out), feed.dataset.train.data)
                return method.measure(held_out)

        run_steps(label, method.parts, take_step, look, training)


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Torch's random numbers (dropout) as a function of seed, step and process."""
    torch.manual_seed((seed * 1_000_003 + step) * 64 + rank)
