"""The training loop of GAN Slimming in both forms; killed at any moment, it resumes exactly.

Form "budget": distillation; between `prune_from` and `prune_until` channels leave in `prune_times` cuts, each down to
what the schedule allows; from `quantize_from` on the student runs in int8. Form "paper": the published objective, its
order of updates (Adam on weights, SGD on scales, soft threshold, discriminator), and the cut after training.
"""

from __future__ import annotations

import io
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.compress.distill import (
    LOG_EVERY,
    QUICK_VALIDATION,
    Batch,
    Cache,
    append,
    check_finite,
    keep_metrics,
    learning_rate,
    sample,
    tap_channels,
    validate,
)
from edgegan.compress.losses import FeatureMaps
from edgegan.compress.slimming.budget import allowed_cost, check_met, make_bundles, project
from edgegan.compress.slimming.deployed import ImageOnly, scheme_of, trace_with_taps
from edgegan.compress.slimming.gates import Gates, scale_names, soft_threshold
from edgegan.compress.slimming.learner import Learner, make_optimizer
from edgegan.compress.slimming.narrow import begin, removable_groups, tied_groups
from edgegan.compress.slimming.objective import Judge, Terms, distillation
from edgegan.compress.slimming.start import Start
from edgegan.compress.teacher import load_input
from edgegan.config import Distill, Recipe, Slim
from edgegan.console import Progress, progress, say
from edgegan.files import write_atomic
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec

CALIBRATION_INPUTS = 32
PAPER_BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class Place:
    """Where a training keeps its state, and what its state belongs to."""

    folder: Path
    metrics: Path
    inputs: str

    @property
    def checkpoint(self) -> Path:
        """The file that a killed run resumes from."""
        return self.folder / "checkpoint.pt"


def slim(
    start: Start,
    cache: Cache,
    recipe: Recipe,
    judge: tuple[PatchSpec, PatchDiscriminator] | None,
    place: Place,
    device: torch.device,
) -> Learner:
    """Trains and prunes the start network; returns the learner with the student as it is at the end.

    Appends to `place.metrics` (JSON lines: terms, validations, and a line with widths and cost for every cut).
    Raises TrainingError when a term is not a number or the budget is missed by more than 3 %.
    """
    torch.manual_seed(recipe.seed)
    settings, slimming = recipe.distill, recipe.slim
    learner = make_learner(start, cache, recipe, judge, device)
    images = calibration(cache, device)
    first = resume(learner, place, images, device)
    keep_metrics(place.metrics, first)
    if first:
        say(f"resuming slimming at step {first}")
    cuts = cut_steps(settings.steps, slimming)
    last_saved = time.monotonic()
    learner.runner.train()
    learner.student.module.train()
    with progress("slim", settings.steps, first) as bar:
        for step in range(first, settings.steps):
            if step in cuts:
                cut(learner, start, slimming, cuts[step], step, place)
            if step == int8_step(settings.steps, slimming) and learner.scheme is None:
                paper = slimming.form == "paper"
                learner.quantize("paper" if paper else scheme_of(learner.student.module), images)
            batch = sample(cache, settings, recipe.data.flip, recipe.seed, step, device)
            run_step = paper_step if slimming.form == "paper" else budget_step
            terms = run_step(learner, batch, settings, slimming, step, recipe.seed, place)
            done = step + 1
            note(learner, cache, settings, done, terms, place, bar, device)
            if time.monotonic() - last_saved > settings.checkpoint_seconds:
                save(place, learner, done)
                last_saved = time.monotonic()
    learner.runner.eval()
    learner.student.module.eval()
    return learner


def make_learner(
    start: Start,
    cache: Cache,
    recipe: Recipe,
    judge: tuple[PatchSpec, PatchDiscriminator] | None,
    device: torch.device,
) -> Learner:
    """The learner before the first step."""
    settings, slimming = recipe.distill, recipe.slim
    student = begin(start.module.to(device), start.example.to(device))
    maps = None
    if cache.taps:
        channels = tap_channels(student.module, cache.taps, cache.inputs.shape[1:], device)
        theirs = [array.shape[1] for array in cache.features]
        maps = FeatureMaps(channels, theirs, cache.scales, settings.tap_pool).to(device)
    needs_gates = slimming.form == "paper" or slimming.importance == "norm"
    gates = Gates(student.module, student.graph) if needs_gates else None
    runner = trace_with_taps(student.module, cache.taps)
    example = start.example.to(device)
    nothing = torch.optim.SGD([torch.zeros(1)], 1.0)
    learner = Learner(student, cache.taps, maps, gates, example, runner, nothing)
    if gates is not None:
        gates.attach(student.module, student.graph)
        learner.runner = trace_with_taps(student.module, cache.taps)
    if slimming.form == "paper":
        split_optimizers(learner, settings, slimming)
    else:
        learner.optimizer = make_optimizer(learner.trained(), settings.learning_rate)
    if judge is not None:
        module = judge[1].to(device).train()
        rate = settings.discriminator_learning_rate
        learner.judge = Judge(
            judge[0], module, torch.optim.Adam(module.parameters(), rate, betas=PAPER_BETAS)
        )
    return learner


def split_optimizers(learner: Learner, settings: Distill, slimming: Slim) -> None:
    """The published pair: Adam for weights, SGD with momentum for norm scales and gates."""
    scales, weights = scales_of(learner), []
    chosen = {id(each) for each in scales}
    weights = [each for each in learner.trained() if id(each) not in chosen]
    learner.optimizer = torch.optim.Adam(
        weights, settings.learning_rate, betas=PAPER_BETAS, weight_decay=slimming.weight_decay
    )
    learner.scale_optimizer = torch.optim.SGD(
        scales, slimming.scale_learning_rate, momentum=slimming.scale_momentum
    )


def scales_of(learner: Learner) -> list[torch.Tensor]:
    """Norm scales of free groups, and gates."""
    names = sorted(scale_names(learner.student.module, learner.student.graph))
    scales: list[torch.Tensor] = [learner.student.module.get_parameter(name) for name in names]
    return scales + (list(learner.gates.parameters()) if learner.gates else [])


def cut_steps(steps: int, slimming: Slim) -> dict[int, float]:
    """Steps before which channels go, with the part of the pruning that is over then; none in the paper's form."""
    if slimming.form == "paper":
        return {}
    times = slimming.prune_times
    found = {}
    for index in range(1, times + 1):
        share = slimming.prune_from + (slimming.prune_until - slimming.prune_from) * index / times
        found[min(steps - 1, max(1, round(steps * share)))] = index / times
    return found


def int8_step(steps: int, slimming: Slim) -> int:
    """The step from which int8 is simulated; -1 for never. The paper's form is quantised from the beginning."""
    if slimming.quantize == "none":
        return -1
    return 0 if slimming.form == "paper" else round(steps * slimming.quantize_from)


def cut(
    learner: Learner, start: Start, slimming: Slim, part: float, step: int, place: Place
) -> None:
    """One cut to what the schedule allows, noted with the widths it leaves."""
    assert start.budget is not None and start.budget_kind is not None
    allowed = allowed_cost(start.full_cost, start.budget, part)
    keep = chosen_channels(learner, start, slimming, allowed, closely=part == 1.0)
    learner.cut(keep)
    widths = learner.student.widths()
    spent = start.cost(widths)
    entry = {"budget": start.budget_kind, "allowed": allowed, "cost": spent, "widths": widths}
    append(place.metrics, {"step": step, **entry})
    if part == 1.0:
        check_met(start.budget_kind, spent, start.budget, slimming.round_to)


def chosen_channels(
    learner: Learner, start: Start, slimming: Slim, allowed: float, *, closely: bool
) -> dict[str, torch.Tensor]:
    """The present channels that stay."""
    student = learner.student
    removable = set(removable_groups(start.spec, student.graph).values())
    bundles = make_bundles(
        student.graph,
        tied_groups(start.spec, student.graph),
        removable if slimming.remove_blocks else set(),
        slimming.round_to,
    )
    gone = {name: 0 for name, channels in student.kept.items() if not len(channels)}
    scores = learner.importance(slimming.importance)

    def present_cost(widths: Any) -> float:
        return start.cost({**widths, **gone})

    return project(bundles, scores, present_cost, allowed, slimming.round_to, closely=closely)


def budget_step(
    learner: Learner,
    batch: Batch,
    settings: Distill,
    slimming: Slim,
    step: int,
    seed: int,
    place: Place,
) -> Terms:
    """One step of our form: forward, loss, backward, scores, Adam, discriminator when there is one."""
    rate = learning_rate(settings, step)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    output, *features = learner.runner(batch.x)
    loss, terms = distillation(output, features, batch, learner.maps, settings)
    if learner.judge is not None:
        terms["gan"] = learner.judge.opinion(batch, output)
        loss = loss + settings.gan_weight * terms["gan"]
    check_finite(numbers({**terms, "loss": loss}), step + 1, place.checkpoint)
    learner.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if step < settings.steps * slimming.prune_until:
        learner.add_scores()
    learner.optimizer.step()
    if slimming.rho > 0 and step < settings.steps * slimming.prune_until:
        for scale in scales_of(learner):
            soft_threshold(scale, slimming.rho * rate)
    if learner.judge is not None:
        chance = random.Random(f"replay:{seed}:{step}")
        terms["discriminator"] = learner.judge.learn(batch, output, chance)
    return {"loss": loss, **terms}


def paper_step(
    learner: Learner,
    batch: Batch,
    settings: Distill,
    slimming: Slim,
    step: int,
    seed: int,
    place: Place,
) -> Terms:
    """One published step: one backward pass for weights and scales, Adam, SGD, soft threshold, discriminator."""
    assert learner.scale_optimizer is not None and learner.judge is not None
    share = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    for group in learner.optimizer.param_groups:
        group["lr"] = settings.learning_rate * share
    for group in learner.scale_optimizer.param_groups:
        group["lr"] = slimming.scale_learning_rate * share
    for group in learner.judge.optimizer.param_groups:
        group["lr"] = settings.discriminator_learning_rate * share
    output, *features = learner.runner(batch.x)
    distance, terms = distillation(output, features, batch, learner.maps, settings)
    terms["gan"] = learner.judge.opinion(batch, output)
    loss = slimming.gan_weight * terms["gan"] + slimming.beta * distance
    check_finite(numbers({**terms, "loss": loss}), step + 1, place.checkpoint)
    learner.optimizer.zero_grad(set_to_none=True)
    learner.scale_optimizer.zero_grad(set_to_none=True)
    loss.backward()
    learner.optimizer.step()
    learner.scale_optimizer.step()
    scales = scales_of(learner)
    for scale in scales:
        soft_threshold(scale, slimming.rho * slimming.scale_learning_rate * share)
    terms["scales_l1"] = torch.stack([scale.detach().abs().sum() for scale in scales]).sum()
    chance = random.Random(f"replay:{seed}:{step}")
    terms["discriminator"] = learner.judge.learn(batch, output, chance)
    return {"loss": loss, **terms}


def numbers(terms: Terms) -> dict[str, float]:
    """Terms as plain numbers."""
    return {name: float(value.detach()) for name, value in terms.items()}


def note(
    learner: Learner,
    cache: Cache,
    settings: Distill,
    done: int,
    terms: Terms,
    place: Place,
    bar: Progress,
    device: torch.device,
) -> None:
    """Metrics every fifty steps, validation every `validate_every`."""
    if done % LOG_EVERY == 0 or done == settings.steps:
        values = numbers(terms)
        check_finite(values, done, place.checkpoint)
        append(place.metrics, {"step": done, **values})
        bar.step(done, f"loss {values['loss']:.4f}")
    if done % settings.validate_every == 0 or done == settings.steps:
        quality = validate(ImageOnly(learner.runner), cache, QUICK_VALIDATION, device)
        learner.student.module.train()
        append(place.metrics, {"step": done, "validation_psnr_db": quality})
        bar.note = f"PSNR to teacher {quality:.2f} dB"


def calibration(cache: Cache, device: torch.device) -> list[torch.Tensor]:
    """The inputs that the exporter calibrates static int8 on, one by one."""
    count = min(CALIBRATION_INPUTS, len(cache.inputs))
    return [load_input(np.asarray(cache.inputs[i : i + 1])).to(device) for i in range(count)]


def save(place: Place, learner: Learner, step: int) -> None:
    """Writes the learner's state atomically."""
    buffer = io.BytesIO()
    torch.save({"inputs": place.inputs, **learner.state(step)}, buffer)
    write_atomic(place.checkpoint, buffer.getvalue())


def resume(learner: Learner, place: Place, images: list[torch.Tensor], device: torch.device) -> int:
    """Restores a checkpoint made from the same inputs; returns the step to go on from."""
    if not place.checkpoint.is_file():
        return 0
    state = torch.load(place.checkpoint, map_location=device, weights_only=True)
    return learner.restore(state, images) if state.get("inputs") == place.inputs else 0


def eval_image(learner: Learner) -> nn.Module:
    """The trained network as a generator, in int8 when it was trained so."""
    return ImageOnly(learner.runner).eval()
