"""What the training stages of a run work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from edgegan.channels.graph import ChannelGraph
from edgegan.channels.space import Widths, spec_of
from edgegan.compress.inherited import Inherited
from edgegan.compress.teacher.cache import Cache
from edgegan.distributed import world_size
from edgegan.files import sha256_json
from edgegan.models.zoo import CUSTOM
from edgegan.package import ImageIO
from edgegan.recipe.schema import Distill, Recipe
from edgegan.run import Run
from edgegan.training.loop import Training
from edgegan.training.schedule import Schedule, schedule_of


@dataclass(frozen=True)
class Job:
    """What every stage needs."""

    run: Run
    recipe: Recipe
    family: str
    spec: Any
    output: ImageIO
    cache: Cache
    inherited: Inherited
    device: torch.device
    inputs: dict[str, Any]

    def hash(self, *parts: Any) -> str:
        """The hash of everything a stage depends on."""
        return sha256_json([self.inputs, *parts])

    def training(self, stage: str, inputs: str, schedule: Schedule | None = None) -> Training:
        """How a stage's training runs, by the recipe's schedule or another.

        A checkpoint is resumed by as many processes as wrote it; a finished stage is finished for any number.
        """
        settings = self.recipe.distill
        return Training(
            folder=self.run.stage_folder(stage),
            metrics=self.run.folder / "metrics.jsonl",
            inputs=f"{inputs}:{world_size()}",
            device=self.device,
            schedule=schedule or schedule_of(settings),
            seed=self.recipe.seed,
            flip=self.recipe.data.flip,
            log_every=settings.log_every,
            validate_every=settings.validate_every,
            checkpoint_seconds=settings.checkpoint_seconds,
        )

    def spec_of(self, graph: ChannelGraph, plan: Widths) -> Any:
        """The spec of a sub-network of the job's own."""
        if self.family == CUSTOM:
            return self.spec.model_copy(update={"widths": {**self.spec.widths, **plan}})
        return spec_of(self.spec, graph, plan)


def training_settings(settings: Distill, schedule: Schedule | None = None) -> dict[str, Any]:
    """Settings that change what is trained, by another schedule than their own if one is given."""
    found = settings.model_dump(mode="json", exclude={"checkpoint_seconds", "log_every"})
    chosen = schedule or schedule_of(settings)
    own = {name: getattr(chosen, name) for name in ("steps", "learning_rate", "warmup")}
    return {**found, **own}
