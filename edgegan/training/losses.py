"""Terms of the distillation loss. Images are (N, C, H, W) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


def gradient_l1(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of horizontal plus of vertical first differences: edges, where L1 alone blurs."""
    difference = student - teacher
    return difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()


class FeatureMaps(nn.Module):
    """Learnable 1x1 maps from student features to the teacher's (GAN Compression, equation 3).

    The loss is the sum over taps of the mean square error, each divided by the teacher's mean square at that tap so
    that one weight fits every family.
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


def hinge_generator(score: torch.Tensor) -> torch.Tensor:
    """Hinge generator loss (Lim & Ye 2017): raises the score without limit."""
    return -score.mean()


def hinge_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Hinge discriminator loss, halved as the least-squares one: real above 1, fake below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def lsgan_generator(score: torch.Tensor) -> torch.Tensor:
    """Least-squares generator loss (Mao et al. 2017): the discriminator should call this real."""
    return F.mse_loss(score, torch.ones_like(score))


def lsgan_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Least-squares discriminator loss, halved as in CycleGAN."""
    return 0.5 * (
        F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake))
    )
