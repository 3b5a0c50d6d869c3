"""The soft threshold of GAN Slimming at its published length, on a problem whose solution is known."""

from __future__ import annotations

import math

import torch

from edgegan.compress.slimming.slim import proximal_step
from edgegan.recipe.loading import load_recipe
from edgegan.training.optimizers import set_rate


def test_scales_reach_zero_where_nothing_pulls_at_them() -> None:
    """Minimising 0.5 |g - a|^2 + rho' |g| gives g = sign(a) max(|a| - rho', 0), here with rho' = rho * (1 - momentum);
    and scales without any gradient are zero well before the end, from one."""
    recipe = load_recipe("gan_slimming_paper", [])
    slimming, steps = recipe.slim, recipe.distill.steps
    aims = torch.linspace(-0.012, 0.012, 13)
    pulled, free = torch.ones(13, requires_grad=True), torch.ones(4, requires_grad=True)
    optimizer = torch.optim.SGD(
        [pulled, free], slimming.scale_learning_rate, momentum=slimming.scale_momentum
    )
    zero_at = None
    for step in range(steps):
        set_rate(
            optimizer,
            slimming.scale_learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps)),
        )
        pulled.grad, free.grad = (pulled - aims).detach(), torch.zeros(4)
        proximal_step(optimizer, [pulled, free], slimming.rho)
        if zero_at is None and not free.any():
            zero_at = step
    limit = slimming.rho * (1 - slimming.scale_momentum)
    wanted = aims.sign() * (aims.abs() - limit).clamp_min(0)
    assert torch.allclose(pulled, wanted, atol=1e-5)
    silent = aims.abs() < limit - 1e-6
    assert silent.sum() == 5
    assert not pulled[silent].any()  # zero, not small
    assert zero_at is not None
    assert zero_at < 0.06 * steps
