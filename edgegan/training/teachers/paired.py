"""A generator of known targets and its discriminator: what pix2pix and GauGAN have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.data.batches import Batch
from edgegan.metrics.perceptual import Perceptual
from edgegan.models.judges import JudgeSpec
from edgegan.recipe.train_section import Train
from edgegan.training.judge import Judge
from edgegan.training.loop import Terms
from edgegan.training.teachers.parts import Parts, make_parts


@dataclass
class Paired:
    """`step_on(self, x, y)` trains both networks on inputs x and targets y and returns every term."""

    train: Train
    generator: nn.Module
    critic: InitVar[tuple[JudgeSpec, nn.Module]]
    perceptual: Perceptual | None
    step_on: Callable[[Paired, torch.Tensor, torch.Tensor], Terms]
    parts: Parts = field(init=False)
    judge: Judge = field(init=False)

    def __post_init__(self, critic: tuple[JudgeSpec, nn.Module]) -> None:
        self.parts = make_parts(
            self.train, {"generator": self.generator}, {"discriminator": critic[1]}
        )
        self.judge = Judge(*critic, self.parts.judges_optimizer, self.train.gan_mode)

    def take_step(self, batches: list[Batch], step: int) -> Terms:
        """One step of both networks; `step` does not matter."""
        del step
        assert batches[0].target is not None
        return self.step_on(self, batches[0].input, batches[0].target)

    def show(self, batch: Batch) -> list[torch.Tensor]:
        """Columns of a sample picture: input, output, target."""
        assert batch.target is not None
        return [batch.input, self.generator(batch.input), batch.target]

    def measure(self, batch: Batch) -> dict[str, float]:
        """Mean absolute difference to the targets, of 2."""
        assert batch.target is not None
        return {"validation_l1": float(F.l1_loss(self.generator(batch.input), batch.target))}
