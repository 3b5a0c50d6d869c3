"""SNGAN (Miyato et al., ICLR 2018): noise to pictures, hinge loss, several discriminator steps a generator step."""

from __future__ import annotations

import torch
from torch import nn

from edgegan.data.batches import Batch, draw_noise, positions
from edgegan.models.judges import JudgeSpec
from edgegan.recipe.train_section import Train
from edgegan.training.judge import Judge
from edgegan.training.loop import Terms
from edgegan.training.optimizers import step_down
from edgegan.training.teachers.parts import make_parts


class Sngan:
    """A generator of pictures from noise and its spectrally normalised discriminator."""

    def __init__(
        self,
        train: Train,
        generator: nn.Module,
        critic: tuple[JudgeSpec, nn.Module],
        latent: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.train, self.generator = train, generator
        self.latent, self.seed, self.rank, self.world = latent, seed, rank, world
        self.parts = make_parts(train, {"generator": generator}, {"discriminator": critic[1]})
        self.judge = Judge(*critic, self.parts.judges_optimizer, train.gan_mode)

    def take_step(self, batches: list[Batch], step: int) -> Terms:
        """A discriminator's step for every batch, then the generator's; returns every term, the last of the former."""
        for batch in batches:
            assert batch.target is not None
            with torch.no_grad():
                made = self.generator(batch.input)
            real = self.judge.on_real(batch.input, batch.target)
            fake = self.judge.on_fake(batch.input, made)
            step_down(self.judge.optimizer, real + fake)

        places = positions(
            self.train.generator_batch or self.train.batch, step, self.rank, self.world
        )
        noise = draw_noise(self.latent, places, self.seed, "generator noise").to(made.device)
        loss = self.judge.fooled_by(noise, self.generator(noise))
        step_down(self.parts.optimizer, loss)
        return {"loss": loss, "discriminator_real": real, "discriminator_fake": fake}

    def show(self, batch: Batch) -> list[torch.Tensor]:
        """A square of pictures from the validation noise: as many columns as rows."""
        side = max(1, int(len(batch.input) ** 0.5))
        return list(self.generator(batch.input)[: side * side].split(side))

    def measure(self, batch: Batch) -> dict[str, float]:
        """Mean scores of real and made pictures: how well the discriminator still tells them apart."""
        assert batch.target is not None
        return {
            "validation_score_real": float(self.judge.module(batch.target).mean()),
            "validation_score_fake": float(self.judge.module(self.generator(batch.input)).mean()),
        }
