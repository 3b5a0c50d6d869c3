"""The distillation objective, term by term, and the step of the discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from edgegan.distributed import average_gradients
from edgegan.metrics.perceptual import Perceptual
from edgegan.models.judges import JudgeSpec, judged, verdicts
from edgegan.recipe.schema import Distill
from edgegan.training.batch import Batch
from edgegan.training.losses import (
    FeatureMaps,
    gradient_l1,
    hinge_discriminator,
    hinge_generator,
    lsgan_discriminator,
    lsgan_generator,
    relation,
)

WEIGHTS = ("l1", "gradient", "feature", "relation", "perceptual", "gan")


@dataclass
class Judge:
    """The discriminator a student inherits from its teacher, with its optimiser."""

    spec: JudgeSpec
    module: nn.Module
    optimizer: torch.optim.Optimizer
    mode: str

    def __call__(self, x: torch.Tensor, image: torch.Tensor) -> list[torch.Tensor]:
        """Scores of an image (beside its input when conditional), one tensor for each scale."""
        return verdicts(self.module(judged(self.spec, x, image)))


@dataclass
class Objective:
    """What the generator's output is held against; a term whose weight is 0 is not computed."""

    settings: Distill
    maps: FeatureMaps | None
    judge: Judge | None
    perceptual: Perceptual | None

    def terms(
        self,
        output: torch.Tensor,
        taps: list[torch.Tensor],
        batch: Batch,
        columns: list[torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Every term of an output (N, C, H, W), unweighted, and their weighted sum "loss".

        `taps` are the student's features; `columns` the channels a sub-network has of them.
        """
        target = batch.target(self.settings.reconstruction)
        found = {"l1": (output - target).abs().mean(), "gradient": gradient_l1(output, target)}
        if self.maps is not None:
            found["feature"] = self.maps(taps, batch.features, columns)
        if self.settings.relation_weight > 0:
            found["relation"] = relation(taps, batch.features)
        if self.perceptual is not None:
            found["perceptual"] = self.perceptual(output, target)
        if self.judge is not None:
            self.judge.module.requires_grad_(False)
            score = hinge_generator if self.judge.mode == "hinge" else lsgan_generator
            scores = self.judge(batch.x, output)
            found["gan"] = torch.stack([score(each) for each in scores]).mean()
        weights = {name: getattr(self.settings, f"{name}_weight") for name in WEIGHTS}
        loss = torch.stack(
            [weights[name] * value for name, value in found.items() if weights[name] > 0]
        ).sum()
        return {"loss": loss, **found}

    def judge_step(
        self, output: torch.Tensor, batch: Batch, inputs: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """One step of the discriminator: what the student should look like is real, its output is not.

        `inputs` are what `output` was made from where that is not the batch's own.
        """
        if self.judge is None:
            return {}
        self.judge.module.requires_grad_(True)
        verdict = hinge_discriminator if self.judge.mode == "hinge" else lsgan_discriminator
        reals = self.judge(batch.x, batch.real)
        fakes = self.judge(batch.x if inputs is None else inputs, output.detach())
        loss = torch.stack([verdict(a, b) for a, b in zip(reals, fakes, strict=True)]).mean()
        self.judge.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.judge.module.parameters())
        self.judge.optimizer.step()
        return {"discriminator": loss}
