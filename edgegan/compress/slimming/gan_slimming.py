"""GAN Slimming as a stage of `edgegan compress`: start network, training, extraction, fine-tuning, quality in int8."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.compress.costs.priced import price
from edgegan.compress.distill import distill
from edgegan.compress.fidelity import measure_quality
from edgegan.compress.inherited import Inherited
from edgegan.compress.job import Job
from edgegan.compress.slimming.deployed import (
    ImageOnly,
    bake,
    calibrate,
    learned_ends,
    scheme_of,
    simulate,
)
from edgegan.compress.slimming.extract import Extracted, cut_after_training
from edgegan.compress.slimming.narrow import finished
from edgegan.compress.slimming.published import published_judge
from edgegan.compress.slimming.slim import calibration, slim
from edgegan.compress.slimming.start import Start, make_start, sliced_spec
from edgegan.compress.teacher.cache import Cache
from edgegan.console import format_cost, say
from edgegan.distributed import world_size
from edgegan.errors import ConfigError
from edgegan.metrics.complexity import format_macs
from edgegan.models.zoo import load_generator, parse_spec
from edgegan.package import LearnedEnds, PackageConfig, input_shape
from edgegan.recipe.schema import COUNTED, Recipe
from edgegan.training.schedule import Schedule

FINETUNE_SHARE = 0.1


@dataclass(frozen=True)
class Slimmed:
    """A finished student, and what is worth recording of it."""

    spec: BaseModel
    module: nn.Module
    figures: dict[str, Any]
    ranges: list[LearnedEnds]


def choose_start(
    config: PackageConfig,
    teacher: Path,
    recipe: Recipe,
    spec_at: Callable[[float], Any],
) -> Start:
    """The start network of a recipe; `spec_at` scales the student's form of the teacher."""
    slimming, own = recipe.slim, recipe.student.scale
    shape = input_shape(config.input, recipe.data.size)
    known = None
    if slimming.initial == "teacher":
        module = load_generator(teacher)[1]
        spec = parse_spec(config.family, config.spec)
        graph = trace_channels(module, torch.zeros(input_shape(config.input, config.size)))
        known = (spec, module)
        say("weights are the teacher's: student.block and student.norm do not apply")

        def spec_at(scale: float) -> Any:
            return sliced_spec(spec, graph, scale, slimming.round_to)

    aim = recipe.budget.aim
    counted = aim if aim and aim[0] in COUNTED else None
    start = make_start(config.family, spec_at, own, slimming, counted, shape, known, recipe.seed)
    widest = start.table.full
    wanted = f", budget {format_cost(aim[1])} {aim[0]}" if aim else ""
    say(
        f"start network: {format_macs(start.table.macs(widest))}MACs, about "
        f"{start.table.bytes(widest):,.0f} bytes in int8{wanted}"
    )
    return start


def slim_student(start: Start, job: Job, teacher: Path, inputs: str) -> Slimmed:
    """Trains, prunes, extracts and, when the recipe says so, fine-tunes; the student ends in evaluation mode."""
    slimming, cache = job.recipe.slim, job.cache
    start = price(start, job)
    if slimming.form == "paper":
        if world_size() > 1:
            raise ConfigError("slim.form paper keeps one replay buffer: run it in one process")
        judge = published_judge(teacher, job.recipe.seed)
        job = replace(job, inherited=replace(job.inherited, judge=judge))
    learner = slim(start, job, inputs)
    learner.runner.cpu()
    figures: dict[str, Any] = {}
    ranges: list[LearnedEnds] = []
    if slimming.form == "paper":
        figures["psnr_trained_db"] = fidelity(ImageOnly(learner.runner), cache)
        extracted: Extracted = cut_after_training(learner, start, slimming, job.family)
        spec, module, widths = extracted.spec, extracted.module, extracted.widths
        figures |= {**extracted.figures, "psnr_extracted_db": fidelity(module, cache)}
    else:
        if learner.scheme is not None:
            bake(learner.runner)
            if not slimming.finetune_steps:  # it would move what the ranges were learned for
                ranges = learned_ends(learner.runner, cache.codec.load(cache.validation_inputs[:1]))
            if ranges:
                figures |= int8_figures(learner.runner, cache)
        if learner.gates is not None:
            learner.gates.fold(learner.student.module)
        spec, module = finished(job.family, start.spec, start.graph, learner.student)
        widths = learner.student.widths()
    if slimming.finetune_steps:
        figures["psnr_before_finetune_db"] = fidelity(module, cache)
        finetune(module, job, inputs)
        figures["psnr_after_finetune_db"] = fidelity(module.cpu(), cache)
    figures |= final_costs(start, widths)
    if not ranges:
        figures |= int8_quality(module, cache)
    return Slimmed(spec, module.cpu().eval(), figures, ranges)


def fidelity(module: nn.Module, cache: Cache) -> float:
    """PSNR in dB to the teacher on the validation pictures."""
    return measure_quality(module.eval(), cache)["psnr_to_teacher_db"]


def finetune(module: nn.Module, job: Job, inputs: str) -> None:
    """Plain distillation of the extracted student at a tenth of the learning rate, resumed exactly as ever."""
    settings = job.recipe.distill
    schedule = Schedule(job.recipe.slim.finetune_steps, settings.learning_rate * FINETUNE_SHARE)
    training = job.training("distill", inputs).within("finetune", schedule)
    inherited = Inherited(None, job.inherited.perceptual)
    distill(module, without_taps(job.cache), settings, inherited, training, label="finetune")


def without_taps(cache: Cache) -> Cache:
    """The same data without features: blocks that went have taken their places along."""
    plain = copy.copy(cache)
    plain.taps, plain.features, plain.scales = [], [], []
    return plain


def final_costs(start: Start, widths: dict[str, int]) -> dict[str, Any]:
    """What the student costs, beside its budget."""
    figures: dict[str, Any] = {
        "predicted_bytes": round(start.table.bytes(widths)),
        "macs": round(start.table.macs(widths)),
        "widths": widths,
    }
    if start.budget is not None:
        figures["budget"] = {start.budget_kind: start.budget, "met_at": start.cost(widths)}
    return figures


def int8_quality(module: nn.Module, cache: Cache) -> dict[str, Any]:
    """Quality of the student as LiteRT will compute it in int8, with the scales that a converter takes."""
    example = calibration(cache, torch.device("cpu"))
    simulated = simulate(module.eval(), example[0], scheme_of(module), [], learned=False)
    calibrate(simulated, example)
    return int8_figures(simulated, cache)


def int8_figures(simulated: nn.Module, cache: Cache) -> dict[str, Any]:
    """Quality of a simulation in int8."""
    found = measure_quality(ImageOnly(simulated).eval(), cache)
    return {
        "int8_psnr_to_teacher_db": found["psnr_to_teacher_db"],
        "int8_ssim_to_teacher": found["ssim_to_teacher"],
    }
