"""Steps of optimisers in one or several processes."""

from __future__ import annotations

import torch

from edgegan.distributed import average_gradients


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
