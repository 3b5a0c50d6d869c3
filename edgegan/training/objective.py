"""The distillation objective: its terms, their weights, and the step of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from edgegan.errors import ConfigError, nearest
from edgegan.metrics.perceptual import Perceptual
from edgegan.recipe.distill_section import Distill
from edgegan.training import listed_losses
from edgegan.training.judge import Judge
from edgegan.training.lesson import Lesson
from edgegan.training.losses import FeatureMaps
from edgegan.training.optimizers import step_down
from edgegan.training.terms import Given, Loss, Seen, Term

LOSSES = {name: loss for name, loss in vars(listed_losses).items() if isinstance(loss, Loss)}


def weights_of(settings: Distill) -> dict[str, float]:
    """The weight of every term, as a recipe sets them; raises ConfigError for a term that does not exist."""
    unknown = sorted(set(settings.terms) - set(LOSSES))
    if unknown:
        raise ConfigError(
            f"distill.terms: no term '{unknown[0]}'{nearest(unknown[0], LOSSES)}; terms: {', '.join(LOSSES)}"
        )
    return {
        name: settings.terms.get(name, getattr(settings, f"{name}_weight", 0.0)) for name in LOSSES
    }


def needs_taps(settings: Distill) -> bool:
    """Whether a term with weight compares features, so that the teacher's are kept."""
    weights = weights_of(settings)
    return any(loss.needs_taps and weights[name] > 0 for name, loss in LOSSES.items())


@dataclass
class Objective:
    """What the generator's output is held against, with the weight of every term.

    `learnt` holds the terms that are modules of their own: they are trained with the student. `teacher_is_real`: the
    discriminator takes the teacher's pictures for real even where there are true ones.
    """

    weights: Mapping[str, float]
    reconstruction: str
    maps: FeatureMaps | None
    judge: Judge | None
    perceptual: Perceptual | None
    teacher_is_real: bool = False
    made: dict[str, Term] = field(init=False)
    learnt: nn.ModuleDict = field(init=False)

    def __post_init__(self) -> None:
        given = Given(self.weights, self.maps, self.perceptual, self.judge)
        made = {name: loss.make(given) for name, loss in LOSSES.items()}
        self.made = {name: term for name, term in made.items() if term is not None}
        modules = {name: term for name, term in self.made.items() if isinstance(term, nn.Module)}
        self.learnt = nn.ModuleDict(modules)

    def terms(
        self,
        output: torch.Tensor,
        taps: list[torch.Tensor],
        lesson: Lesson,
        columns: list[torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Every term of an output (N, C, H, W), unweighted, and their weighted sum "loss".

        `taps` are the student's features, none where it is trained without; `columns` the channels a sub-network has of
        them.
        """
        seen = Seen(output, lesson.target(self.reconstruction), taps, lesson, columns)
        found = {
            name: term(seen)
            for name, term in self.made.items()
            if taps or not LOSSES[name].needs_taps
        }
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
        genuine = lesson.teacher if self.teacher_is_real else lesson.real
        real = self.judge.on_real(lesson.x, genuine)
        loss = 0.5 * (real + self.judge.on_fake(shown, output))
        step_down(self.judge.optimizer, loss)
        return {"discriminator": loss}
