"""The loop of every method: steps, metrics, samples, checkpoints; killed at any moment, it resumes exactly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Protocol

import torch

from edgegan.console import progress, say
from edgegan.data.batches import Batch, ahead, draw_batch, middle_batch, positions
from edgegan.data.datasets import Dataset
from edgegan.distributed import average, is_main, wait
from edgegan.errors import TrainingError
from edgegan.recipe.train_section import Train
from edgegan.training.loop import append, keep_metrics, resume, save_checkpoint
from edgegan.training.teachers.parts import Parts, seed_step
from edgegan.training.teachers.samples import write_samples

SAMPLES = 4
NOISE_SAMPLES = 64


class Trainer(Protocol):
    """One method: what it changes, a step, and what is shown of it."""

    parts: Parts

    def take_step(self, batches: list[Batch], step: int) -> dict[str, torch.Tensor]: ...

    def show(self, batch: Batch) -> list[torch.Tensor]: ...

    def measure(self, batch: Batch) -> dict[str, float]: ...


@dataclass(frozen=True)
class Feed:
    """Where a trainer's batches come from."""

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


def rate_factor(step: int, constant: int, total: int) -> float:
    """Part of the full learning rate at a step: 1, then a linear fall that reaches zero after the last step."""
    return 1.0 if step < constant else 1 - (step - constant) / max(1, total - constant)


def run_steps(
    trainer: Trainer, feed: Feed, *, folder: Path, run_folder: Path, label: str, inputs: str
) -> int:
    """Takes steps from the last checkpoint of the same `inputs` to the end; returns how many there are.

    Appends to `run_folder`/metrics.jsonl, writes `run_folder`/samples, keeps `folder`/checkpoint.pt up to date.
    Of several processes the first writes; logged terms are means over all. Raises TrainingError naming step and term
    when a term is not finite.
    """
    train = feed.train
    total, constant = count_steps(train, len(feed.dataset.train), feed.world)
    checkpoint, metrics = folder / "checkpoint.pt", run_folder / "metrics.jsonl"
    start = resume(trainer.parts, checkpoint, inputs, feed.device)
    wait()
    if is_main():
        keep_metrics(metrics, label, start)
    if start:
        say(f"resuming {label} at step {start} of {total}")
    held_out = feed.held_out()
    last_saved = time.monotonic()
    for module in trainer.parts.modules.values():
        module.train()
    with progress(label, total, start) as bar:
        for step, batches in enumerate(ahead(feed.draw, start, total), start):
            seed_step(feed.seed, step, feed.rank)
            factor = rate_factor(step, constant, total)
            trainer.parts.set_rates(factor)
            terms = trainer.take_step([batch.to(feed.device) for batch in batches], step)
            done = step + 1
            saving = time.monotonic() - last_saved > train.checkpoint_seconds
            logging = done % train.log_every == 0 or done == total
            if saving or logging:
                values = {name: float(value.detach()) for name, value in terms.items()}
                check_finite(values, trainer.parts, done, checkpoint, checking_weights=saving)
            if logging:
                values = average(values)
                rate = train.learning_rate * factor
                append(metrics, {"stage": label, "step": done, "learning_rate": rate, **values})
                bar.step(done, "  ".join(f"{name} {values[name]:.3f}" for name in list(values)[:3]))
            if is_main() and (done % train.sample_every == 0 or done == total):
                with evaluating(trainer.parts):
                    measured = trainer.measure(held_out)
                    append(metrics, {"stage": label, "step": done, **measured})
                    path = run_folder / "samples" / f"step{done:08d}.png"
                    write_samples(path, trainer.show(held_out), feed.dataset.train.data)
            if saving:
                save_checkpoint(checkpoint, trainer.parts, done, inputs)
                last_saved = time.monotonic()
    check_finite({}, trainer.parts, total, checkpoint, checking_weights=True)
    return total


@contextmanager
def evaluating(parts: Parts) -> Iterator[None]:
    """Modules in evaluation mode, without gradients, and back."""
    for module in parts.modules.values():
        module.eval()
    with torch.no_grad():
        yield
    for module in parts.modules.values():
        module.train()


def check_finite(
    values: dict[str, float], parts: Parts, step: int, checkpoint: Path, *, checking_weights: bool
) -> None:
    """Raises TrainingError naming the step and the term, or the weight, that is not finite."""
    bad = [f"the term '{name}' is {value}" for name, value in values.items() if not isfinite(value)]
    weight = parts.first_bad() if checking_weights and not bad else None
    if weight is not None:
        bad.append(f"the weight '{weight}' is not finite")
    if bad:
        kept = (
            f"the last good checkpoint is {checkpoint}"
            if checkpoint.is_file()
            else "no checkpoint was written yet"
        )
        raise TrainingError(
            f"step {step}: {bad[0]}; lower train.learning_rate or the term's weight ({kept})"
        )
