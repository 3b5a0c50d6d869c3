"""Terms of the distillation loss. Images are (N, C, H, W) in [-1, 1]."""

from __future__ import annotations

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
        self.maps = nn.ModuleList(
            nn.Conv2d(ours, theirs, 1)
            for ours, theirs in zip(student_channels, teacher_channels, strict=True)
        )
        self.scales, self.pool = scales, pool

    def forward(self, student: list[torch.Tensor], teacher: list[torch.Tensor]) -> torch.Tensor:
        """Features of both nets at each tap; the teacher's are already pooled."""
        total = student[0].new_zeros(())
        for adapt, ours, theirs, scale in zip(
            self.maps, student, teacher, self.scales, strict=True
        ):
            total = total + F.mse_loss(adapt(F.avg_pool2d(ours, self.pool)), theirs) / max(
                scale, 1e-12
            )
        return total


def lsgan_generator(score: torch.Tensor) -> torch.Tensor:
    """Least-squares generator loss (Mao et al. 2017): the discriminator should call this real."""
    return F.mse_loss(score, torch.ones_like(score))


def lsgan_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Least-squares discriminator loss, halved as in CycleGAN."""
    return 0.5 * (
        F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake))
    )
