"""Distillation: the student learns the teacher's outputs and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgegan.channels.program import evaluating
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.inherited import Inherited
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.distributed import average_gradients
from edgegan.models.judges import JudgeSpec
from edgegan.models.recording import hooked
from edgegan.recipe.distill_section import Distill
from edgegan.training.checkpoint import Stateful, restore_parts, state_of
from edgegan.training.freeze import CROPS, freeze_step, hold_statistics, measure_statistics
from edgegan.training.judge import Judge
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Terms, Training, run_steps
from edgegan.training.losses import FeatureMaps
from edgegan.training.objective import Objective, weights_of
from edgegan.training.optimizers import betas_of, set_rate
from edgegan.training.schedule import Schedule
from edgegan.training.speed import choose_speed, in_float32

QUICK_VALIDATION = 12


@dataclass
class Trainer:
    """A student and what it is trained with."""

    student: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer

    def parts(self) -> dict[str, Stateful]:
        """Networks and optimisers by name."""
        maps, judge = self.objective.maps, self.objective.judge
        found: dict[str, Stateful] = {
            "student": self.student,
            "optimizer": self.optimizer,
            "terms": self.objective.learnt,
        }
        if maps is not None:
            found["maps"] = maps
        if judge is not None:
            found |= {"judge": judge.module, "judge_optimizer": judge.optimizer}
        return found

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs."""
        return state_of(self.parts(), step)

    def restore(self, state: dict[str, Any]) -> int:
        """Takes back a state; returns the number of steps done."""
        return restore_parts(self.parts(), state)

    def take_over(self, states: Mapping[str, Any]) -> None:
        """Starts from the feature maps and the discriminator of an earlier training."""
        if self.objective.maps is not None and states.get("maps"):
            self.objective.maps.load_state_dict(states["maps"])
        if self.objective.judge is not None and states.get("judge"):
            self.objective.judge.module.load_state_dict(states["judge"])

    def set_rates(self, schedule: Schedule, step: int) -> None:
        """The learning rates of a step."""
        set_rate(self.optimizer, schedule.rate(step))
        if self.objective.judge is not None:
            self.objective.judge.set_rate(schedule, step)

    def parameters(self) -> list[nn.Parameter]:
        """What the student's optimiser changes."""
        return trained_with(self.student, self.objective)


def make_trainer(
    student: nn.Module,
    cache: Cache,
    settings: Distill,
    inherited: Inherited,
    device: torch.device,
) -> Trainer:
    """Feature maps sized by one forward pass, the inherited discriminator, and the optimisers (Adam)."""
    student.to(device)
    maps = make_maps(student, cache, settings, device)
    judge = None if inherited.judge is None else make_judge(inherited.judge, settings, device)
    objective = Objective(
        weights_of(settings),
        settings.reconstruction,
        maps,
        judge,
        inherited.perceptual,
        inherited.teacher_is_real,
    )
    objective.learnt.to(device)
    parameters = trained_with(student, objective)
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, betas=betas_of(settings))
    return Trainer(student, objective, optimizer)


def trained_with(student: nn.Module, objective: Objective) -> list[nn.Parameter]:
    """The student's parameters, those of the feature maps, and those of further terms that have any."""
    maps = objective.maps
    return [
        *student.parameters(),
        *(maps.parameters() if maps else ()),
        *objective.learnt.parameters(),
    ]


def make_maps(
    student: nn.Module, cache: Cache, settings: Distill, device: torch.device
) -> FeatureMaps | None:
    """Feature maps from the student's channels at the taps to the teacher's; None where features have no weight."""
    if not cache.taps or settings.feature_weight == 0:
        return None
    theirs = [array.shape[1] for array in cache.features]
    ours = tap_channels(student, cache, device)
    scales = cache.scales if settings.feature_error == "relative" else [1.0] * len(theirs)
    return FeatureMaps(ours, theirs, scales, settings.tap_pool).to(device)


def make_judge(
    inherited: tuple[JudgeSpec, nn.Module], settings: Distill, device: torch.device
) -> Judge:
    """A discriminator with its optimiser (Adam)."""
    spec, module = inherited
    module.to(device).train()
    optimizer = torch.optim.Adam(
        module.parameters(),
        settings.discriminator_learning_rate,
        betas=(settings.discriminator_beta1, settings.discriminator_beta2),
        weight_decay=settings.discriminator_weight_decay,
    )
    return Judge(spec, module, optimizer, settings.gan_mode, settings.discriminator_decay)


def tap_channels(student: nn.Module, cache: Cache, device: torch.device) -> list[int]:
    """Channels of the student's outputs at the taps."""
    with hooked(student, cache.taps) as recorded, evaluating(student):
        student(cache.load(cache.inputs[:1], device))
        return [recorded[name].shape[1] for name in cache.taps]


def train_step(trainer: Trainer, recorded: dict[str, torch.Tensor], lesson: Lesson) -> Terms:
    """One student step, then one discriminator step when there is one; returns the terms."""
    output = trainer.student(lesson.x)
    terms = trainer.objective.terms(output, in_float32(list(recorded.values())), lesson)
    trainer.optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    average_gradients(trainer.parameters())
    trainer.optimizer.step()
    return {**terms, **trainer.objective.judge_step(output, lesson)}


def distill(
    student: nn.Module,
    cache: Cache,
    settings: Distill,
    inherited: Inherited,
    training: Training,
    *,
    label: str = "distill",
    start: Mapping[str, Any] | None = None,
) -> Trainer:
    """Trains the student in place, resuming its checkpoint; returns what trained it.

    `start` holds states of "maps" and "judge" to go on from.
    """
    device, schedule = training.device, training.schedule
    torch.manual_seed(training.seed)
    trainer = make_trainer(student, cache, settings, inherited, device)
    trainer.take_over(start or {})
    student.train()
    frozen_from = freeze_step(schedule.steps, settings.freeze_statistics)
    speed = choose_speed(settings, device, compiling=training.compiling)
    with hooked(student, cache.taps) as recorded, speed.attached(student):

        def take_step(step: int) -> Terms:
            trainer.set_rates(schedule, step)
            if step == frozen_from:
                measure_statistics(student, cache.load(cache.inputs[:CROPS], device))
            if step >= frozen_from:
                hold_statistics(student)
            return train_step(trainer, recorded, sample(cache, settings, training, step))

        def quality(_: int) -> dict[str, float]:
            return {
                "validation_psnr_db": psnr_to_teacher(
                    student, cache, device, count=QUICK_VALIDATION
                )
            }

        run_steps(label, trainer, take_step, quality, training)
    student.eval()
    return trainer
