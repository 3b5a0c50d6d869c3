"""What modules inside a network give while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn


class hooked:
    """Context in which the outputs of a module's submodules at `names` are recorded; yields the dictionary, in which
    every run replaces those of the run before."""

    def __init__(self, module: nn.Module, names: Iterable[str]) -> None:
        self.recorded: dict[str, torch.Tensor] = {}
        self.handles = [
            module.get_submodule(name).register_forward_hook(recorder(self.recorded, name))
            for name in names
        ]

    def __enter__(self) -> dict[str, torch.Tensor]:
        return self.recorded

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


def recorder(
    recorded: dict[str, torch.Tensor], name: str
) -> Callable[[nn.Module, object, torch.Tensor], None]:
    """A forward hook that keeps a module's output under its name."""

    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        recorded[name] = output

    return hook
