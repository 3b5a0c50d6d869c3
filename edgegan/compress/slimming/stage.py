"""GAN Slimming as a stage of `edgegan compress`: start network, training, extraction, fine-tuning, quality in int8."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.compress.distill import Cache, distill
from edgegan.compress.slimming.deployed import ImageOnly, bake, calibrate, scheme_of, simulate
from edgegan.compress.slimming.extract import Extracted, cut_after_training
from edgegan.compress.slimming.narrow import finished
from edgegan.compress.slimming.slim import Place, calibration, slim
from edgegan.compress.slimming.start import Predictors, Start, make_start, sliced_spec
from edgegan.config import Recipe
from edgegan.console import say
from edgegan.metrics.complexity import format_macs
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.zoo import load_discriminator, load_generator, parse_spec
from edgegan.package import PackageConfig, input_shape

FINETUNE_SHARE = 0.1
Quality = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Slimmed:
    """A finished student, and what is worth recording of it."""

    spec: BaseModel
    module: nn.Module
    figures: dict[str, Any]


def plan_start(
    config: PackageConfig,
    teacher: Path,
    recipe: Recipe,
    spec_at: Callable[[float], Any],
    predictors: Predictors,
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

    start = make_start(config.family, spec_at, own, slimming, shape, known, predictors, recipe.seed)
    widest = start.table.full
    aim = f", budget {start.budget:,.0f} {start.budget_kind}" if start.budget else ""
    say(
        f"start network: {format_macs(start.table.macs(widest))}MACs, about "
        f"{start.table.bytes(widest):,.0f} bytes in int8{aim}"
    )
    return start


def slim_student(
    start: Start,
    config: PackageConfig,
    teacher: Path,
    recipe: Recipe,
    cache: Cache,
    place: Place,
    device: torch.device,
    quality: Quality,
) -> Slimmed:
    """Trains, prunes, extracts and, when the recipe says so, fine-tunes; the student ends in evaluation mode."""
    learner = slim(start, cache, recipe, choose_judge(teacher, recipe), place, device)
    learner.runner.cpu()
    figures: dict[str, Any] = {}
    if recipe.slim.form == "paper":
        trained = quality(ImageOnly(learner.runner).eval())["psnr_to_teacher_db"]
        extracted: Extracted = cut_after_training(learner, start, recipe.slim, config.family)
        spec, module, widths = extracted.spec, extracted.module, extracted.widths
        figures |= {"psnr_trained_db": trained, **extracted.figures}
        figures["psnr_extracted_db"] = quality(module)["psnr_to_teacher_db"]
    else:
        if learner.scheme is not None:
            bake(learner.runner)
        if learner.gates is not None:
            learner.gates.fold(learner.student.module)
        spec, module = finished(config.family, start.spec, start.graph, learner.student)
        widths = learner.student.widths()
    if recipe.slim.finetune_steps:
        before = quality(module)["psnr_to_teacher_db"]
        finetune(module, cache, recipe, place, device)
        after = quality(module.cpu().eval())["psnr_to_teacher_db"]
        figures |= {"psnr_before_finetune_db": before, "psnr_after_finetune_db": after}
    figures |= final_costs(start, widths)
    figures |= int8_quality(module, cache, quality)
    return Slimmed(spec, module.cpu().eval(), figures)


def choose_judge(teacher: Path, recipe: Recipe) -> tuple[PatchSpec, PatchDiscriminator] | None:
    """The teacher's discriminator; in the paper's form a fresh one when the teacher keeps none."""
    if recipe.slim.form == "budget":
        return load_discriminator(teacher) if recipe.distill.gan_weight > 0 else None
    config = load_generator(teacher)[0]
    if config.discriminator is not None:
        return load_discriminator(teacher)
    say("the teacher keeps no discriminator: a new one learns beside the student")
    torch.manual_seed(recipe.seed)
    spec = PatchSpec(in_channels=config.output.channels, layers=1 if min(config.size) < 64 else 3)
    return spec, PatchDiscriminator(spec)


def finetune(
    module: nn.Module, cache: Cache, recipe: Recipe, place: Place, device: torch.device
) -> None:
    """Plain distillation of the extracted student at a tenth of the learning rate, resumed exactly as ever."""
    rate = recipe.distill.learning_rate * FINETUNE_SHARE
    update = {"steps": recipe.slim.finetune_steps, "learning_rate": rate, "warmup": 0}
    distill(
        module,
        without_taps(cache),
        recipe.distill.model_copy(update=update),
        None,
        flip=recipe.data.flip,
        seed=recipe.seed,
        folder=place.folder / "finetune",
        metrics=place.folder / "finetune.jsonl",
        inputs=place.inputs,
        device=device,
    )


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


def int8_quality(module: nn.Module, cache: Cache, quality: Quality) -> dict[str, Any]:
    """Quality of the student as LiteRT will compute it in int8, with the scales that a converter takes."""
    example = calibration(cache, torch.device("cpu"))
    simulated = simulate(module.eval(), example[0], scheme_of(module), [], learned=False)
    calibrate(simulated, example)
    found = quality(ImageOnly(simulated).eval())
    return {
        "int8_psnr_to_teacher_db": found["psnr_to_teacher_db"],
        "int8_ssim_to_teacher": found["ssim_to_teacher"],
    }
