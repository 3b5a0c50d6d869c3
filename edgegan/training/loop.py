"""The loop of every training: steps, metrics, checkpoints; killed at any moment, it resumes exactly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from edgegan.console import progress, say
from edgegan.contracts.bounds import parse_json
from edgegan.distributed import average, is_main, wait
from edgegan.errors import TrainingError
from edgegan.files import make_folder, write_atomic
from edgegan.ownership.journal import claim
from edgegan.training.checkpoint import (
    Stateful,
    Trainable,
    first_bad_weight,
    resume,
    save_checkpoint,
)
from edgegan.training.schedule import Schedule

SHOWN_TERMS = 3
Terms = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Training:
    """How a training runs: its schedule, what seeds it, where it keeps its state, how often it tells."""

    folder: Path  # keeps checkpoint.pt
    metrics: Path  # JSON lines, appended to
    inputs: (
        str  # hash of all that the result depends on; a checkpoint of other inputs is not resumed
    )
    device: torch.device
    schedule: Schedule
    seed: int = 0
    flip: bool = False  # whether examples are mirrored at random
    log_every: int = 50  # steps between entries of `metrics`
    validate_every: int = 500  # steps between validations
    checkpoint_seconds: float = 60.0  # between checkpoints
    compiling: bool = True  # False for so few steps that compiling them would take longer
    section: str = "distill"  # of the recipe, named in errors

    @property
    def checkpoint(self) -> Path:
        """The state that a killed training resumes from."""
        return self.folder / "checkpoint.pt"

    def within(self, name: str, schedule: Schedule) -> Training:
        """Another schedule, and its state in a folder below this one's."""
        return replace(self, folder=make_folder(self.folder / name), schedule=schedule)

    def telling(self, step: int) -> bool:
        """Whether the terms of a step, the first of which is 0, are kept."""
        return (step + 1) % self.log_every == 0 or step + 1 == self.schedule.steps

    def validating(self, step: int) -> bool:
        """Whether a step, the first of which is 0, is followed by a validation."""
        return (step + 1) % self.validate_every == 0 or step + 1 == self.schedule.steps


def run_steps(
    label: str,
    trainer: Trainable,
    take_step: Callable[[int], Terms],
    validate: Callable[[int], dict[str, float]],
    training: Training,
) -> None:
    """Takes steps from the last checkpoint of the same inputs to the end.

    `validate` is given the number of steps done. Appends {"stage", "step", terms} to the metrics and keeps the
    checkpoint up to date; of several processes the first does, logged terms are means over all. Raises TrainingError
    naming step and term, or weight, that is not finite.
    """
    steps = training.schedule.steps
    start = resume(trainer, training.checkpoint, training.inputs, training.device)
    wait()
    if is_main():
        keep_metrics(training.metrics, label, start)
    if start:
        say(f"resuming {label} at step {start} of {steps}")
    last_saved = time.monotonic()
    with progress(label, steps, start) as bar:
        for step in range(start, steps):
            terms = take_step(step)
            done = step + 1
            entry = {"stage": label, "step": done}
            if training.telling(step):
                values = average(floats(terms))
                check_finite(values, done, training)
                rate = {"learning_rate": trainer.optimizer.param_groups[0]["lr"]}
                append(training.metrics, {**entry, **rate, **values})
                shown = list(values)[:SHOWN_TERMS]
                bar.step(done, "  ".join(f"{name} {values[name]:.3f}" for name in shown))
            if training.validating(step) and is_main():
                quality = validate(done)
                append(training.metrics, {**entry, **quality})
                bar.note = "  ".join(f"{name} {value:.2f}" for name, value in quality.items())
            if time.monotonic() - last_saved > training.checkpoint_seconds:
                check_finite(floats(terms), done, training, trainer.parts())
                save_checkpoint(training.checkpoint, trainer, done, training.inputs)
                last_saved = time.monotonic()
    check_finite({}, steps, training, trainer.parts())


def floats(terms: Terms) -> dict[str, float]:
    """Terms as numbers."""
    return {name: float(value.detach()) for name, value in terms.items()}


def check_finite(
    values: dict[str, float],
    step: int,
    training: Training,
    parts: Mapping[str, Stateful] | None = None,
) -> None:
    """Raises TrainingError naming the step and the term that is not a number ("loss", their sum, when no other is), or
    the weight of a part."""
    bad = [
        f"the term '{name}' is {values[name]}"
        for name in sorted(values, key="loss".__eq__)
        if not isfinite(values[name])
    ]
    if not bad and parts is not None and (weight := first_bad_weight(parts)) is not None:
        bad = [f"the weight '{weight}' is not finite"]
    if bad:
        kept = (
            f"the last good checkpoint is {training.checkpoint}"
            if training.checkpoint.is_file()
            else "no checkpoint was written yet"
        )
        raise TrainingError(
            f"step {step}: {bad[0]}; lower {training.section}.learning_rate or the term's weight ({kept})"
        )


def append(path: Path, entry: dict[str, Any]) -> None:
    """Adds one JSON line; only the first of several processes does."""
    if not is_main():
        return
    claim(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_entries(path: Path) -> Iterator[dict[str, Any]]:
    """The objects that the lines of a file are; a line cut short by a kill is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = parse_json(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Complete lines of a metrics file: those with a stage and a step."""
    for entry in read_entries(path):
        if isinstance(entry.get("step"), int) and "stage" in entry:
            yield entry


def keep_metrics(path: Path, stage: str, step: int) -> None:
    """Drops a stage's entries after `step`: a resumed run writes them again."""
    entries = [
        entry for entry in read_metrics(path) if entry["stage"] != stage or entry["step"] <= step
    ]
    write_atomic(path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
