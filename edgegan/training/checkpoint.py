"""What a killed training goes on from: one file for every kind of training, known by its hash to be whole."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from edgegan.console import say
from edgegan.distributed import is_main
from edgegan.files import write_atomic

DIGEST_BYTES = 32
FORMAT = 2  # of what a checkpoint holds; one of another format is not resumed


class Stateful(Protocol):
    """A network, an optimiser, or anything else that tells what it holds and takes it back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


class Trainable(Protocol):
    """What a loop trains and keeps between runs."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The generator's: its learning rate is told with the terms."""

    def parts(self) -> Mapping[str, Stateful]:
        """Everything that a step changes, by name."""

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs after this many steps."""

    def restore(self, state: dict[str, Any]) -> int:
        """Takes it back; returns the number of steps done."""


def state_of(parts: Mapping[str, Stateful], step: int) -> dict[str, Any]:
    """The states of all parts after this many steps."""
    return {"step": step, **{name: part.state_dict() for name, part in parts.items()}}


def restore_parts(parts: Mapping[str, Stateful], state: dict[str, Any]) -> int:
    """Takes back what `state_of` gave; returns the number of steps done."""
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def first_bad_weight(parts: Mapping[str, Stateful]) -> str | None:
    """The name of a network's weight or statistic that is not finite, if any."""
    for part, module in parts.items():
        if not isinstance(module, nn.Module):
            continue
        for name, value in module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                return f"{part}.{name}"
    return None


def save_checkpoint(path: Path, trainer: Trainable, step: int, inputs: str) -> None:
    """Writes the trainer's state atomically, its sha256 behind it; only the first of several processes does."""
    if not is_main():
        return
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "inputs": inputs, **trainer.state(step)}, buffer)
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
    own = state.get("format") == FORMAT and state.get("inputs") == inputs
    return trainer.restore(state) if own else 0
