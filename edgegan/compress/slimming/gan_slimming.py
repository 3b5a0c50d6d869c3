"""GAN Slimming as stages of `edgegan compress`: start network, training, extraction, fine-tuning, quality in int8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from edgegan.compress.costs.measured import measured_costs
from edgegan.compress.distill import distill
from edgegan.compress.fidelity import measure_quality, psnr_to_teacher
from edgegan.compress.form import check_own
from edgegan.compress.job import Job, Order, Shaped, training_settings, values_of
from edgegan.compress.search.supernet import share_whole
from edgegan.compress.slimming.deployed import (
    ImageOnly,
    bake,
    calibrate,
    learned_ends,
    scheme_of,
    simulate,
)
from edgegan.compress.slimming.extract import cut_after_training
from edgegan.compress.slimming.learner import Learner
from edgegan.compress.slimming.narrow import finished
from edgegan.compress.slimming.published import published_judge, published_weights
from edgegan.compress.slimming.slim import calibration, slim
from edgegan.compress.slimming.start import Start, choose_start
from edgegan.compress.student import Made, finish_student
from edgegan.compress.teacher.cache import Cache
from edgegan.distributed import world_size
from edgegan.errors import ConfigError
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.kinds import is_counted
from edgegan.recipe.schema import Recipe
from edgegan.training.judge import Judge
from edgegan.training.schedule import schedule_of

LATER_SLIM = ("finetune_rate", "finetune_discriminator")


def start_network(order: Order) -> Shaped:
    """The network that slimming starts from is the student's shape until channels go."""
    check_own(order.config, order.recipe)
    start = choose_start(order.config, order.teacher, order.recipe)
    return Shaped(order, start.spec, start)


def slim_student(job: Job) -> Job:
    """The stage "student": one training distils, prunes and quantises the start network."""
    recipe = job.recipe
    slimming = values_of(recipe.slim, LATER_SLIM)
    budget = recipe.budget.model_dump(mode="json")
    inputs = job.hash(training_settings(recipe.distill), slimming, budget)
    finish_student(job, inputs, lambda: train(job, inputs))
    return job


def train(job: Job, inputs: str) -> Made:
    """Trains, prunes, extracts and, when the recipe says so, fine-tunes; the student ends in evaluation mode."""
    assert job.start is not None
    slimming, cache = job.recipe.slim, job.cache
    start = priced(job.start, job)
    if slimming.form == "paper":
        job = published(job)
    learner = slim(start, job, inputs)
    learner.runner.cpu()
    made = (cut_published if slimming.form == "paper" else cut_already)(learner, start, job)
    module, figures = made.module, {**made.figures}
    if slimming.finetune_steps:
        figures["psnr_before_finetune_db"] = psnr_to_teacher(module.eval(), cache)
        finetune(module, learner.objective.judge, job, inputs)
        figures["psnr_after_finetune_db"] = psnr_to_teacher(module.cpu().eval(), cache)
    figures |= final_costs(start, figures["widths"])
    if not made.ranges:
        figures |= int8_quality(module, cache)
    return replace(made, module=module.cpu().eval(), figures=figures)


def published(job: Job) -> Job:
    """The job with the discriminator of the published form."""
    if world_size() > 1:
        raise ConfigError("slim.form paper keeps one replay buffer: run it in one process")
    weighs = job.recipe.slim.gan_weight > 0
    judge = published_judge(job.order.teacher, job.recipe) if weighs else None
    inherited = replace(job.inherited, judge=judge, teacher_is_real=True)
    return replace(job, inherited=inherited)


def priced(start: Start, job: Job) -> Start:
    """The start network with the cost of the recipe's budget where tables tell it. Its narrower forms share one list of
    layers, so residual blocks stay whole under such a budget."""
    if start.budget_kind is None or is_counted(start.budget_kind):
        return start
    shared = share_whole(start.module, start.graph, type(start.spec), job.recipe.slim.round_to)
    narrowest = shared.space.plan(shared.space.narrowest())
    return start.with_measured(measured_costs(job, shared), narrowest)


def cut_published(learner: Learner, start: Start, job: Job) -> Made:
    """The student of the published form: cut after training by its scales."""
    trained_db = psnr_to_teacher(ImageOnly(learner.runner).eval(), job.cache)
    found = cut_after_training(learner, start, job.recipe.slim)
    quality = {
        "psnr_trained_db": trained_db,
        "psnr_extracted_db": psnr_to_teacher(found.module.eval(), job.cache),
    }
    return Made(found.spec, found.module, {**found.figures, **quality, "widths": found.widths})


def cut_already(learner: Learner, start: Start, job: Job) -> Made:
    """The student of the budget form, from which all channels went that had to; with the int8 ranges it learned, unless
    fine-tuning would move what they were learned for."""
    cache, figures, ranges = job.cache, {"widths": learner.student.widths()}, []
    if learner.scheme is not None:
        bake(learner.runner)
        if not job.recipe.slim.finetune_steps:
            ranges = learned_ends(learner.runner, cache.codec.load(cache.validation_inputs[:1]))
        if ranges:
            figures |= int8_figures(learner.runner, cache)
    if learner.gates is not None:
        learner.gates.fold(learner.student.module)
    spec, module = finished(start.spec, start.graph, learner.student)
    return Made(spec, module, figures, ranges)


def finetune(module: nn.Module, judge: Judge | None, job: Job, inputs: str) -> None:
    """Distillation of the extracted student at a multiple of the learning rates, resumed exactly as ever; with the
    discriminator as slimming left it where the recipe says so."""
    slimming, settings = job.recipe.slim, finetune_settings(job.recipe)
    schedule = schedule_of(settings, steps=slimming.finetune_steps, warmup=0)
    training = job.training("student", inputs).within("finetune", schedule)
    inherited = replace(job.inherited, judge=None)
    if judge is not None and slimming.finetune_discriminator:
        inherited = replace(inherited, judge=(judge.spec, judge.module))
    # without features: blocks that went have taken their places along
    distill(module, job.cache.without_taps(), settings, inherited, training, label="finetune")


def finetune_settings(recipe: Recipe) -> Distill:
    """The recipe's distillation at the rates of fine-tuning; by the objective of the published form where that is what
    the discriminator grew up with."""
    settings, slimming = recipe.distill, recipe.slim
    rates = ("learning_rate", "discriminator_learning_rate")
    changed: dict[str, Any] = {
        name: getattr(settings, name) * slimming.finetune_rate for name in rates
    }
    if slimming.finetune_discriminator and slimming.form == "paper":
        changed["terms"] = published_weights(settings, slimming)
    return settings.model_copy(update=changed)


def final_costs(start: Start, widths: dict[str, int]) -> dict[str, Any]:
    """What the student costs, beside its budget."""
    table = start.costs.table
    figures: dict[str, Any] = {
        "predicted_bytes": round(table.bytes(widths)),
        "macs": round(table.macs(widths)),
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
