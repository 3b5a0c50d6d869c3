"""What the stages of a run hand on: what was asked, the student's shape, and the job that training works on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegan.channels.groups import ChannelGraph
from edgegan.channels.space import Widths
from edgegan.compress.first_weights import earlier_student, start_as_teacher
from edgegan.compress.inherited import Inherited
from edgegan.compress.slimming.start import Start
from edgegan.compress.teacher.cache import Cache
from edgegan.compress.teacher.examples import Examples
from edgegan.distributed import world_size
from edgegan.files import sha256_json
from edgegan.models.spec import Spec
from edgegan.package import PackageConfig, is_package, read_config
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.schema import Recipe
from edgegan.recipe.section import Section
from edgegan.run import Run
from edgegan.training.loop import Training
from edgegan.training.schedule import Schedule, schedule_of

LATER_DISTILL = (
    "terms",
    "constant_share",
    "beta1",
    "beta2",
    "feature_error",
    "discriminator_beta1",
    "discriminator_beta2",
    "discriminator_decay",
    "discriminator",
    "discriminator_feature_weight",
    "discriminator_weight_decay",
)


@dataclass(frozen=True)
class Order:
    """What was asked."""

    run: Run
    recipe: Recipe
    examples: Examples
    device: torch.device

    @property
    def teacher(self) -> Path:
        """The teacher's package, which the first stage makes where the recipe names a checkpoint."""
        named = self.recipe.teacher
        return named if named is not None and is_package(named) else self.run.folder / "teacher"

    @cached_property
    def config(self) -> PackageConfig:
        """The teacher's package config; raises InputError before there is one."""
        return read_config(self.teacher)


@dataclass(frozen=True)
class Shaped:
    """An order with the spec of its student, or of the network that is narrowed to it; `start` holds that network for
    slimming, `figures` what the choice is worth noting."""

    order: Order
    spec: Spec
    start: Start | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What training works on; `inputs` are what all of it depends on."""

    order: Order
    spec: Spec
    cache: Cache
    inherited: Inherited
    inputs: dict[str, Any]
    start: Start | None
    figures: Mapping[str, Any]

    @property
    def run(self) -> Run:
        """The run directory."""
        return self.order.run

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.order.recipe

    @property
    def config(self) -> PackageConfig:
        """The teacher's package config."""
        return self.order.config

    @property
    def family(self) -> str:
        """The family of teacher and student."""
        return self.config.family

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self.order.device

    def hash(self, *parts: Any) -> str:
        """The hash of everything a stage depends on."""
        return sha256_json([{**self.inputs, "spec": self.spec.model_dump(mode="json")}, *parts])

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

    def start_student(self, student: nn.Module) -> None:
        """Gives a fresh student the weights that the recipe starts from, where they are not random."""
        earlier = self.recipe.student.earlier
        if earlier is not None:
            student.load_state_dict(earlier_student(earlier, self.family)[1].state_dict())
        elif self.recipe.student.start == "teacher":
            example = self.cache.load(self.cache.inputs[:1], torch.device("cpu"))
            start_as_teacher(student, self.order.teacher, self.spec, example)

    def spec_of(self, graph: ChannelGraph, plan: Widths) -> Spec:
        """The spec of a sub-network of the job's own."""
        return self.spec.narrowed(graph, plan)


def training_settings(settings: Distill, schedule: Schedule | None = None) -> dict[str, Any]:
    """Settings that change what is trained, by another schedule than their own if one is given."""
    found = values_of(settings, LATER_DISTILL)
    found = {name: found[name] for name in found if name not in ("checkpoint_seconds", "log_every")}
    chosen = schedule or schedule_of(settings)
    own = {name: getattr(chosen, name) for name in ("steps", "learning_rate", "warmup")}
    return {**found, **own}


def values_of(section: Section, later: Collection[str]) -> dict[str, Any]:
    """A section's values without `later` keys at their defaults, so that hashes of runs that knew of none stay."""
    fields = type(section).model_fields
    plain = {
        name
        for name in later
        if getattr(section, name) == fields[name].get_default(call_default_factory=True)
    }
    return section.model_dump(mode="json", exclude=plain)
