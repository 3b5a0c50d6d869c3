"""Optimisers: the student's Adam, rates, steps in one or several processes."""

from __future__ import annotations

import torch

from edgegan.distributed import average_gradients
from edgegan.recipe.distill_section import Distill

Betas = tuple[float, float]
USUAL_BETAS: Betas = (0.9, 0.99)


def betas_of(settings: Distill, usual: Betas = USUAL_BETAS) -> Betas:
    """The decays of the student's Adam that a recipe sets, each as usual where it sets none."""
    first, second = settings.beta1, settings.beta2
    return usual[0] if first is None else first, usual[1] if second is None else second


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the optimiser's next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def step_down(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step down the loss, whose gradient is the mean over all processes."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for group in optimizer.param_groups:
        average_gradients(group["params"])
    optimizer.step()
