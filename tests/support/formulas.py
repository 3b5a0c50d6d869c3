"""Weights and pictures by formulas, so that no random generator comes in, and what the authors' code made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "papers" / "reference_values.json").read_text()
)


def fill(tensors: Iterable[torch.Tensor], start: int) -> None:
    """Weights by a formula; `start` numbers the first tensor."""
    with torch.no_grad():
        for k, tensor in enumerate(tensors, start):
            i = torch.arange(tensor.numel(), dtype=torch.float64)
            values = torch.sin(i * (1.7 + 0.01 * (k % 7)) + 0.3 * k) + 0.5 * torch.cos(i * 0.37 + k)
            fan = tensor[0].numel() if tensor.dim() > 1 else 10
            tensor.copy_((values * (1.2 / math.sqrt(fan))).reshape(tensor.shape))


def picture(shape: tuple[int, ...], k: int) -> torch.Tensor:
    """Values in [-1, 1] by a formula."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (torch.sin(i * 0.013 * (k + 1) + k) * torch.cos(i * 0.11 + 2 * k)).reshape(shape).float()


def digest(tensor: torch.Tensor) -> list[float]:
    values = tensor.detach().double().flatten()
    wave = torch.cos(torch.arange(values.numel(), dtype=torch.float64))
    return [float(values.sum()), float((values * wave).sum()), float(values.square().sum())]


def linear(k: int, shape: list[int]) -> torch.Tensor:
    """Weights by a congruence on integers, for millions of them."""
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    values = ((i * 7919 + k * 104729 + 12345) % 65521).double() / 65521 - 0.5
    fan = math.prod(shape[1:]) if len(shape) > 1 else 10
    return (values * (3.4 / math.sqrt(fan))).reshape(shape).float()
