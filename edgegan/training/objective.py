"""The distillation objective, term by term, and the step of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from edgegan.metrics.perceptual import Perceptual
from edgegan.recipe.schema import Distill
from edgegan.training.judge import Judge
from edgegan.training.lesson import Lesson
from edgegan.training.losses import FeatureMaps, gradient_l1, relation
from edgegan.training.optimizers import step_down

WEIGHTS = ("l1", "gradient", "feature", "relation", "perceptual", "gan")


def weights_of(settings: Distill) -> dict[str, float]:
    """The weight of every term, as a recipe sets them."""
    return {name: getattr(settings, f"{name}_weight") for name in WEIGHTS}


@dataclass
class Objective:
    """What the generator's output is held against, with the weight of every term."""

    weights: Mapping[str, float]
    reconstruction: str
    maps: FeatureMaps | None
    judge: Judge | None
    perceptual: Perceptual | None

    def terms(
        self,
        output: torch.Tensor,
        taps: list[torch.Tensor],
        lesson: Lesson,
        columns: list[torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Every term of an output (N, C, H, W), unweighted, and their weighted sum "loss".

        `taps` are the student's features; `columns` the channels a sub-network has of them.
        """
        target = lesson.target(self.reconstruction)
        found = {"l1": (output - target).abs().mean(), "gradient": gradient_l1(output, target)}
        if self.maps is not None:
            found["feature"] = self.maps(taps, lesson.features, columns)
        if self.weights["relation"] > 0 and taps:
            found["relation"] = relation(taps, lesson.features)
        if self.perceptual is not None:
            found["perceptual"] = self.perceptual(output, target)
        if self.judge is not None:
            found["gan"] = self.judge.fooled_by(lesson.x, output)
        weights = self.weights
        loss = torch.stack(
            [weights[name] * value for name, value in found.items() if weights[name] > 0]
        ).sum()
        return {"loss": loss, **found}

    def judge_step(
        self, output: torch.Tensor, lesson: Lesson, inputs: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """One step of the discriminator: what the student should look like is real, its output is not.

        `inputs` are what `output` was made from where that is not the batch's own.
        """
        if self.judge is None:
            return {}
        shown = lesson.x if inputs is None else inputs
        real = self.judge.on_real(lesson.x, lesson.real)
        loss = 0.5 * (real + self.judge.on_fake(shown, output))
        step_down(self.judge.optimizer, loss)
        return {"discriminator": loss}
