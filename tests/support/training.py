"""How small trainings of tests run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgegan.training.loop import Training
from edgegan.training.schedule import Schedule


def small_training(folder: Path, **other: Any) -> Training:
    """A training on the CPU that keeps its state in `folder`; ten steps, mirroring, unless told otherwise."""
    usual = {"flip": True, "schedule": Schedule(10, 2e-3)}
    return Training(
        folder, folder / "metrics.jsonl", "x", torch.device("cpu"), **{**usual, **other}
    )
