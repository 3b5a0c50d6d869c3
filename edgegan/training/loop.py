"""The loop of every training: steps, metrics, checkpoints; killed at any moment, it resumes exactly."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from edgegan.console import progress, say
from edgegan.distributed import average, is_main
from edgegan.errors import TrainingError
from edgegan.files import make_folder, write_atomic

DIGEST_BYTES = 32


class Trainable(Protocol):
    """What a loop keeps between runs."""

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs."""

    def restore(self, state: dict[str, Any]) -> int:
        """Loads it; returns the number of steps done."""


@dataclass(frozen=True)
class Training:
    """How a training runs: what seeds it, where it keeps its state, how often it tells."""

    folder: Path  # keeps checkpoint.pt
    metrics: Path  # JSON lines, appended to
    inputs: (
        str  # hash of all that the result depends on; a checkpoint of other inputs is not resumed
    )
    device: torch.device
    seed: int = 0
    flip: bool = False  # whether examples are mirrored at random
    log_every: int = 50  # steps between entries of `metrics`
    validate_every: int = 500  # steps between validations
    checkpoint_seconds: float = 60.0  # between checkpoints

    @property
    def checkpoint(self) -> Path:
        """The state that a killed training resumes from."""
        return self.folder / "checkpoint.pt"

    def within(self, name: str) -> Training:
        """The same with its state in a folder below this one's."""
        return replace(self, folder=make_folder(self.folder / name))


def run_steps(
    label: str,
    trainer: Trainable,
    steps: int,
    take_step: Callable[[int], dict[str, torch.Tensor]],
    validate: Callable[[], dict[str, float]],
    training: Training,
) -> None:
    """Takes steps from the last checkpoint of the same inputs to the end.

    Appends {"stage", "step", terms} to the metrics and keeps the checkpoint up to date. Of several
    processes the first writes; logged terms are means over all.
    """
    checkpoint, metrics, inputs = training.checkpoint, training.metrics, training.inputs
    start = resume(trainer, checkpoint, inputs, training.device)
    if is_main():
        keep_metrics(metrics, label, start)
    if start:
        say(f"resuming {label} at step {start}")
    last_saved = time.monotonic()
    with progress(label, steps, start) as bar:
        for step in range(start, steps):
            terms = take_step(step)
            done = step + 1
            if done % training.log_every == 0 or done == steps:
                values = average({name: float(value.detach()) for name, value in terms.items()})
                check_finite(values, done, checkpoint)
                append(metrics, {"stage": label, "step": done, **values})
                bar.step(done, f"loss {values['loss']:.4f}")
            if done % training.validate_every == 0 or done == steps:
                quality = validate()
                append(metrics, {"stage": label, "step": done, **quality})
                bar.note = "  ".join(f"{name} {value:.2f}" for name, value in quality.items())
            if time.monotonic() - last_saved > training.checkpoint_seconds:
                check_finite(
                    {name: float(value.detach()) for name, value in terms.items()}, done, checkpoint
                )
                save_checkpoint(checkpoint, trainer, done, inputs)
                last_saved = time.monotonic()


def save_checkpoint(path: Path, trainer: Trainable, step: int, inputs: str) -> None:
    """Writes the trainer's state atomically, its sha256 behind it; only the first of several processes does."""
    if not is_main():
        return
    buffer = io.BytesIO()
    torch.save({"inputs": inputs, **trainer.state(step)}, buffer)
    content = buffer.getvalue()
    write_atomic(path, content + hashlib.sha256(content).digest())


def resume(trainer: Trainable, path: Path, inputs: str, device: torch.device) -> int:
    """Restores a checkpoint made from the same inputs; returns the step to go on from.

    A damaged one, known by its sha256, is passed over: the stage starts again.
    """
    if not path.is_file():
        return 0
    whole = path.read_bytes()
    content, digest = whole[:-DIGEST_BYTES], whole[-DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        say(f"{path} is damaged (sha256 differs): this stage starts again")
        return 0
    state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return trainer.restore(state) if state.get("inputs") == inputs else 0


def check_finite(values: dict[str, float], step: int, checkpoint: Path) -> None:
    """Raises TrainingError naming the step and the term that is not a number; "loss", their sum, when no other is."""
    for name in sorted(values, key="loss".__eq__):
        if not np.isfinite(value := values[name]):
            kept = f"; the last good state is {checkpoint}" if checkpoint.is_file() else ""
            raise TrainingError(
                f"step {step}: the term '{name}' is {value}; lower distill.learning_rate or its weight{kept}"
            )


def append(path: Path, entry: dict[str, Any]) -> None:
    """Adds one JSON line; only the first of several processes does."""
    if not is_main():
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Complete lines of a metrics file; a line cut short by a kill is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def keep_metrics(path: Path, stage: str, step: int) -> None:
    """Drops a stage's entries after `step`: a resumed run writes them again."""
    entries = [
        entry for entry in read_metrics(path) if entry["stage"] != stage or entry["step"] <= step
    ]
    write_atomic(path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
