"""What a training of the supernet leaves for the next: student, feature maps and discriminator, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from edgegan.compress.distill import Trainer
from edgegan.distributed import is_main
from edgegan.files import write_atomic
from edgegan.weights import load_tensors

States = dict[str, dict[str, torch.Tensor]]


def states_of(trained: States, columns: list[torch.Tensor]) -> Mapping[str, Any]:
    """The supernet's discriminator, and its feature maps at the channels that a sub-network has at the taps."""
    states: dict[str, Any] = {"judge": trained.get("judge") or None}
    if trained.get("maps"):
        states["maps"] = {
            name: value[:, columns[int(name.split(".")[1])]] if name.endswith("weight") else value
            for name, value in trained["maps"].items()
        }
    return states


def save_states(path: Path, trainer: Trainer) -> None:
    """Writes student, feature maps and discriminator; only the first of several processes does."""
    if not is_main():
        return
    maps, judge = trainer.objective.maps, trainer.objective.judge
    parts = {
        "student": trainer.student,
        "maps": maps,
        "judge": judge.module if judge else None,
    }
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous().clone()
        for part, module in parts.items()
        if module is not None
        for name, value in module.state_dict().items()
    }
    write_atomic(path, save(tensors))


def load_states(path: Path) -> States:
    """What `save_states` wrote, by part."""
    states: States = {"student": {}, "maps": {}, "judge": {}}
    for key, value in load_tensors(path).items():
        part, _, name = key.partition("/")
        states[part][name] = value
    return states
