"""A whole run in a process of its own, forked from a server that has imported everything, so that it can be killed."""

from __future__ import annotations

from pathlib import Path

import torch

from edgegan.compress.pipeline import compress
from edgegan.config import load_recipe


def run_alone(settings: list[str], folder: str) -> None:
    """`edgegan compress resnet` with these settings."""
    torch.set_num_threads(1)
    compress(load_recipe("resnet", settings), Path(folder))
