"""Terms of every loss. Images are (N, C, H, W) in [-1, 1]; lists of scores hold one tensor for each scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.recipe.train_section import GanMode


def gradient_l1(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of horizontal plus of vertical first differences: edges, where L1 alone blurs."""
    difference = student - teacher
    return difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()


class FeatureMaps(nn.Module):
    """Learnable 1x1 maps from student features to the teacher's (GAN Compression, equation 3).

    The loss is the sum over taps of the mean square error, each divided by a scale: the teacher's mean square at that
    tap, so that one weight fits every family, or 1, as published.
    """

    def __init__(
        self,
        student_channels: list[int],
        teacher_channels: list[int],
        scales: list[float],
        pool: int,
    ) -> None:
        super().__init__()
        self.maps: Sequence[nn.Conv2d] = nn.ModuleList(  # type: ignore[assignment]
            nn.Conv2d(ours, theirs, 1)
            for ours, theirs in zip(student_channels, teacher_channels, strict=True)
        )
        self.scales, self.pool = scales, pool

    def forward(
        self,
        student: list[torch.Tensor],
        teacher: list[torch.Tensor],
        columns: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Features of both nets at each tap; the teacher's are already pooled.

        `columns` are the channels that a sub-network has at each tap: its maps are those columns of the maps.
        """
        total = student[0].new_zeros(())
        for index, adapt in enumerate(self.maps):
            weight = adapt.weight if columns is None else adapt.weight[:, columns[index]]
            pooled = F.avg_pool2d(student[index], self.pool)
            mapped = F.conv2d(pooled, weight, adapt.bias)
            total = total + F.mse_loss(mapped, teacher[index]) / max(self.scales[index], 1e-12)
        return total


RELATION_SIDE = 16


def relation(student: list[torch.Tensor], teacher: list[torch.Tensor]) -> torch.Tensor:
    """One minus the kernel alignment of both nets' features, mean over taps and pictures; in [0, 2].

    A kernel holds the inner products between the features of every two places (at most 16x16 of them), so that nets of
    any widths compare without maps. CAT (Jin et al. 2021) aligns kernels between the pictures of a large batch; between
    the places of one picture it works at batch 1.
    """
    losses = []
    for ours, theirs in zip(student, teacher, strict=True):
        side = min(RELATION_SIDE, *theirs.shape[2:])
        a, b = (F.adaptive_avg_pool2d(features, side).flatten(2) for features in (ours, theirs))
        a, b = a - a.mean(2, keepdim=True), b - b.mean(2, keepdim=True)
        kernel_a, kernel_b = a.transpose(1, 2) @ a, b.transpose(1, 2) @ b
        losses.append(1 - F.cosine_similarity(kernel_a.flatten(1), kernel_b.flatten(1)).mean())
    return torch.stack(losses).mean()


def mean_of(values: list[torch.Tensor]) -> torch.Tensor:
    """Mean over scales, each a tensor without dimensions."""
    return torch.stack(values).mean()


def fool_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a generator minimises: its outputs' scores should be those of real pictures."""
    if mode == "hinge":
        return mean_of([-score.mean() for score in scores])
    return real_loss(mode, scores)


def real_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a discriminator minimises on real pictures."""
    if mode == "hinge":
        return mean_of([F.relu(1 - score).mean() for score in scores])
    return mean_of([towards(mode, score, 1.0) for score in scores])


def fake_loss(mode: GanMode, scores: list[torch.Tensor]) -> torch.Tensor:
    """What a discriminator minimises on a generator's outputs."""
    if mode == "hinge":
        return mean_of([F.relu(1 + score).mean() for score in scores])
    return mean_of([towards(mode, score, 0.0) for score in scores])


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
    return mean_of(scales)
