"""How small trainings of tests run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgegan.training.loop import Training


def small_training(folder: Path, **other: Any) -> Training:
    """A training on the CPU that keeps its state in `folder`, mirroring unless told otherwise."""
    return Training(
        folder, folder / "metrics.jsonl", "x", torch.device("cpu"), **{"flip": True, **other}
    )
