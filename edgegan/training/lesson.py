"""What a student learns from in one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Lesson:
    """Inputs with what the teacher makes of them, and the true pictures (or pictures of the target domain) if any."""

    x: torch.Tensor
    teacher: torch.Tensor
    features: list[torch.Tensor]
    truth: torch.Tensor | None = None
    reals: torch.Tensor | None = None

    def target(self, reconstruction: str) -> torch.Tensor:
        """What the output is compared with: the true picture or the teacher's (GAN Compression, equation 2)."""
        if reconstruction == "teacher" or self.truth is None:
            return self.teacher
        return self.truth

    @property
    def real(self) -> torch.Tensor:
        """What the discriminator calls real: true pictures where there are any, else the teacher's."""
        if self.truth is not None:
            return self.truth
        return self.teacher if self.reals is None else self.reals
