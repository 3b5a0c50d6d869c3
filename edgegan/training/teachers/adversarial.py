"""Adversarial losses on the scores of any discriminator, and feature matching. Lists hold one tensor for each scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgegan.recipe.train_section import GanMode


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    """Mean over scales."""
    return torch.stack(values).mean()


def fool_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a generator minimises: its outputs' scores should be those of real pictures."""
    if mode == "hinge":
        return _mean([-score.mean() for score in scores])
    return real_loss(mode, scores)


def real_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a discriminator minimises on real pictures."""
    if mode == "hinge":
        return _mean([F.relu(1 - score).mean() for score in scores])
    return _mean([towards(mode, score, 1.0) for score in scores])


def fake_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a discriminator minimises on a generator's outputs."""
    if mode == "hinge":
        return _mean([F.relu(1 + score).mean() for score in scores])
    return _mean([towards(mode, score, 0.0) for score in scores])


def towards(mode: GanMode, score: torch.Tensor, label: float) -> torch.Tensor:
    """Distance of scores from a label: squared, or the cross entropy of their sigmoid."""
    target = torch.full_like(score, label)
    if mode == "lsgan":
        return F.mse_loss(score, target)
    return F.binary_cross_entropy_with_logits(score, target)


def feature_matching(
    fake: list[list[torch.Tensor]], real: list[list[torch.Tensor]]
) -> torch.Tensor:
    """Mean absolute difference of a discriminator's features, summed over layers, mean over scales."""
    scales = [
        torch.stack([F.l1_loss(a, b.detach()) for a, b in zip(ours, theirs, strict=True)]).sum()
        for ours, theirs in zip(fake, real, strict=True)
    ]
    return _mean(scales)
