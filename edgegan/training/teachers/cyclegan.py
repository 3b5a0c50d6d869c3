"""CycleGAN (Zhu et al., ICCV 2017): two generators, two discriminators, cycle and identity terms, an image pool."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.data.batches import Batch
from edgegan.models.judges import JudgeSpec
from edgegan.recipe.train_section import Train
from edgegan.training.judge import Judge
from edgegan.training.loop import Terms
from edgegan.training.optimizers import step_down
from edgegan.training.teachers.parts import make_parts
from edgegan.training.teachers.pool import ImagePool


class Cyclegan:
    """`to_b` makes pictures of domain B from A, `to_a` the way back; `judge_a` and `judge_b` know the domains."""

    def __init__(
        self,
        train: Train,
        to_b: nn.Module,
        to_a: nn.Module,
        judge_a: tuple[JudgeSpec, nn.Module],
        judge_b: tuple[JudgeSpec, nn.Module],
        seed: int,
    ) -> None:
        self.train, self.seed, self.to_b, self.to_a = train, seed, to_b, to_a
        self.pool_a, self.pool_b = ImagePool(train.pool), ImagePool(train.pool)
        self.parts = make_parts(
            train,
            {"to_b": to_b, "to_a": to_a},
            {"judge_a": judge_a[1], "judge_b": judge_b[1]},
            {"pool_a": self.pool_a, "pool_b": self.pool_b},
        )
        adam = self.parts.judges_optimizer
        self.judge_a = Judge(*judge_a, adam, train.gan_mode)
        self.judge_b = Judge(*judge_b, adam, train.gan_mode)

    def take_step(self, batches: list[Batch], step: int) -> Terms:
        """The generators' step, then the discriminators'; returns every term."""
        train = self.train
        a, b = batches[0].input, batches[0].target
        assert b is not None

        made_b, made_a = self.to_b(a), self.to_a(b)
        terms = {
            "gan_b": self.judge_b.fooled_by(a, made_b),
            "gan_a": self.judge_a.fooled_by(b, made_a),
            "cycle_a": F.l1_loss(self.to_a(made_b), a),
            "cycle_b": F.l1_loss(self.to_b(made_a), b),
        }
        loss = terms["gan_b"] + terms["gan_a"]
        loss = loss + train.cycle_weight * (terms["cycle_a"] + terms["cycle_b"])
        if train.identity_weight > 0:
            terms["identity_a"] = F.l1_loss(self.to_a(a), a)
            terms["identity_b"] = F.l1_loss(self.to_b(b), b)
            weight = train.cycle_weight * train.identity_weight
            loss = loss + weight * (terms["identity_a"] + terms["identity_b"])
        step_down(self.parts.optimizer, loss)

        chance = random.Random(f"pool:{self.seed}:{step}")
        older_b = self.pool_b.query(made_b, chance)
        older_a = self.pool_a.query(made_a, chance)
        terms["discriminator_b"] = 0.5 * (
            self.judge_b.on_real(a, b) + self.judge_b.on_fake(a, older_b)
        )
        terms["discriminator_a"] = 0.5 * (
            self.judge_a.on_real(b, a) + self.judge_a.on_fake(b, older_a)
        )
        step_down(self.parts.judges_optimizer, terms["discriminator_b"] + terms["discriminator_a"])
        return {"loss": loss, **terms}

    def show(self, batch: Batch) -> list[torch.Tensor]:
        """Columns of a sample picture: A, A as B, and back; B, B as A, and back."""
        a, b = batch.input, batch.target
        assert b is not None
        made_b, made_a = self.to_b(a), self.to_a(b)
        return [a, made_b, self.to_a(made_b), b, made_a, self.to_b(made_a)]

    def measure(self, batch: Batch) -> dict[str, float]:
        """Mean absolute difference after a cycle, of 2."""
        a, b = batch.input, batch.target
        assert b is not None
        return {
            "validation_cycle_a": float(F.l1_loss(self.to_a(self.to_b(a)), a)),
            "validation_cycle_b": float(F.l1_loss(self.to_b(self.to_a(b)), b)),
        }
