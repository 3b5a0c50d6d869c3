"""Public checkpoints with random values, and their generators written out layer by layer to compare ours with."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.readings import USUAL, Reading
from edgegan.models.zoo import build

State = dict[str, torch.Tensor]


def random_like(state: State, seed: int = 0) -> State:
    """The shapes of `state` with values that keep activations near one."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for key, value in state.items():
        noise = torch.randn(value.shape, generator=generator)
        if key.endswith("running_var") or (noise.dim() == 1 and "weight" in key):
            result[key] = 1 + 0.2 * noise.clamp(-2, 2)
        elif not value.is_floating_point():
            result[key] = value
        else:
            result[key] = noise / value[0].numel() ** 0.5 if noise.dim() > 1 else 0.1 * noise
    return result


def ours(path: Path, x: torch.Tensor, reading: Reading = USUAL) -> tuple[torch.Tensor, State]:
    """The imported generator's output, and its state in public names again."""
    imported = import_checkpoint(path, reading=reading)
    module = build(imported.family, imported.spec)
    module.load_state_dict(imported.state)
    with torch.no_grad():
        return module.eval()(x), public_state(imported)


def assert_back(back: State, state: State) -> None:
    """Every key with its value."""
    assert set(back) == set(state)
    for key, value in state.items():
        torch.testing.assert_close(back[key], value, atol=1e-4, rtol=1e-5, msg=key)


def conv(state: State, key: str, x: torch.Tensor, pad: int = 0, **other: int) -> torch.Tensor:
    """A convolution after `pad` pixels of reflection."""
    x = F.pad(x, (pad,) * 4, "reflect") if pad else x
    return F.conv2d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), **other)
