"""The student learns the teacher's cached outputs and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgegan.channels.program import evaluating
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.compress.teacher.outputs import recorder
from edgegan.distributed import average_gradients
from edgegan.metrics.perceptual import Perceptual
from edgegan.models.judges import JudgeSpec
from edgegan.recipe.schema import Distill
from edgegan.training.batch import Batch
from edgegan.training.freeze import CROPS, freeze_step, hold_statistics, measure_statistics
from edgegan.training.loop import Training, run_steps
from edgegan.training.losses import FeatureMaps
from edgegan.training.objective import Judge, Objective
from edgegan.training.speed import choose_speed, in_float32

QUICK_VALIDATION = 12


@dataclass(frozen=True)
class Inherited:
    """What the student takes over from its teacher: the discriminator, and the network of the perceptual term."""

    judge: tuple[JudgeSpec, nn.Module] | None = None
    perceptual: Perceptual | None = None


@dataclass
class Trainer:
    """Everything a step changes, and so everything a checkpoint holds."""

    student: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs."""
        maps, judge = self.objective.maps, self.objective.judge
        return {
            "step": step,
            "student": self.student.state_dict(),
            "maps": maps.state_dict() if maps else None,
            "optimizer": self.optimizer.state_dict(),
            "judge": judge.module.state_dict() if judge else None,
            "judge_optimizer": judge.optimizer.state_dict() if judge else None,
        }

    def restore(self, state: dict[str, Any]) -> int:
        """Loads a checkpoint and returns the number of steps done."""
        maps, judge = self.objective.maps, self.objective.judge
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        if maps:
            maps.load_state_dict(state["maps"])
        if judge:
            judge.module.load_state_dict(state["judge"])
            judge.optimizer.load_state_dict(state["judge_optimizer"])
        return int(state["step"])

    def take_over(self, states: Mapping[str, Any]) -> None:
        """Starts from the feature maps and the discriminator of an earlier training."""
        if self.objective.maps is not None and states.get("maps"):
            self.objective.maps.load_state_dict(states["maps"])
        if self.objective.judge is not None and states.get("judge"):
            self.objective.judge.module.load_state_dict(states["judge"])

    def parameters(self) -> list[nn.Parameter]:
        """What the student's optimiser changes."""
        maps = self.objective.maps
        return [*self.student.parameters(), *(maps.parameters() if maps else ())]


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
    parameters = [*student.parameters(), *(maps.parameters() if maps else ())]
    objective = Objective(settings, maps, judge, inherited.perceptual)
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, betas=(0.9, 0.99))
    return Trainer(student, objective, optimizer)


def make_maps(
    student: nn.Module, cache: Cache, settings: Distill, device: torch.device
) -> FeatureMaps | None:
    """Feature maps from the student's channels at the taps to the teacher's; None where features have no weight."""
    if not cache.taps or settings.feature_weight == 0:
        return None
    theirs = [array.shape[1] for array in cache.features]
    ours = tap_channels(student, cache, device)
    return FeatureMaps(ours, theirs, cache.scales, settings.tap_pool).to(device)


def make_judge(
    inherited: tuple[JudgeSpec, nn.Module], settings: Distill, device: torch.device
) -> Judge:
    """A discriminator with its optimiser (Adam)."""
    spec, module = inherited
    module.to(device).train()
    optimizer = torch.optim.Adam(
        module.parameters(), settings.discriminator_learning_rate, betas=(0.5, 0.999)
    )
    return Judge(spec, module, optimizer, settings.gan_mode)


def tap_channels(student: nn.Module, cache: Cache, device: torch.device) -> list[int]:
    """Channels of the student's outputs at the taps."""
    with hooked(student, cache.taps) as recorded, evaluating(student):
        student(cache.load(cache.inputs[:1], device))
        return [recorded[name].shape[1] for name in cache.taps]


class hooked:
    """Context in which a module's outputs at `names` are recorded; yields the dictionary."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        self.recorded: dict[str, torch.Tensor] = {}
        self.handles = [
            module.get_submodule(name).register_forward_hook(recorder(self.recorded, name))
            for name in names
        ]

    def __enter__(self) -> dict[str, torch.Tensor]:
        return self.recorded

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


def learning_rate(settings: Distill, step: int) -> float:
    """Linear warm-up, then a linear fall to zero at the last step."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    return settings.learning_rate * (
        1 - (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    )


def train_step(
    trainer: Trainer, recorded: dict[str, torch.Tensor], batch: Batch
) -> dict[str, torch.Tensor]:
    """One student step, then one discriminator step when there is one; returns the terms."""
    output = trainer.student(batch.x)
    terms = trainer.objective.terms(output, in_float32(list(recorded.values())), batch)
    trainer.optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    average_gradients(trainer.parameters())
    trainer.optimizer.step()
    return {**terms, **trainer.objective.judge_step(output, batch)}


def set_learning_rate(trainer: Trainer, settings: Distill, step: int) -> None:
    """The rate of a step, in the student's optimiser."""
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate(settings, step)


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
    device = training.device
    torch.manual_seed(training.seed)
    trainer = make_trainer(student, cache, settings, inherited, device)
    trainer.take_over(start or {})
    student.train()
    frozen_from = freeze_step(settings)
    speed = choose_speed(settings, device)
    with hooked(student, cache.taps) as recorded, speed.attached(student):

        def take_step(step: int) -> dict[str, torch.Tensor]:
            set_learning_rate(trainer, settings, step)
            if step == frozen_from:
                measure_statistics(student, cache.load(cache.inputs[:CROPS], device))
            if step >= frozen_from:
                hold_statistics(student)
            return train_step(trainer, recorded, sample(cache, settings, training, step))

        run_steps(
            label,
            trainer,
            settings.steps,
            take_step,
            lambda: {
                "validation_psnr_db": psnr_to_teacher(
                    student, cache, device, count=QUICK_VALIDATION
                )
            },
            training,
        )
    student.eval()
    return trainer
