"""How long a training is, and its learning rate step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgegan.recipe.distill_section import Distill


@dataclass(frozen=True)
class Schedule:
    """Steps, and a learning rate that rises linearly over `warmup` of them, stays until step `constant`, then falls
    linearly: it would be zero in the step after the last."""

    steps: int
    learning_rate: float
    warmup: int = 0
    constant: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step, the first of which is 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        start = max(self.warmup, self.constant)
        if step < start:
            return self.learning_rate
        return self.learning_rate * (1 - (step - start) / max(1, self.steps - start))


def schedule_of(settings: Distill, **changes: float) -> Schedule:
    """The schedule that a recipe sets for its student, with some of it changed: steps, learning_rate, warmup."""
    own = Schedule(settings.steps, settings.learning_rate, settings.warmup)
    chosen = replace(own, **changes)  # type: ignore[arg-type]
    return replace(chosen, constant=round(settings.constant_share * chosen.steps))
