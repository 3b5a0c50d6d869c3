"""The training loop of GAN Slimming in both forms; killed at any moment, it resumes exactly.

Form "budget": distillation; between `prune_from` and `prune_until` channels leave in `prune_times` cuts, each down to
what the schedule allows; from `quantize_from` on the student runs in int8. Form "paper": the published objective, its
order of updates (Adam on weights, SGD on scales, soft threshold, discriminator), and the cut after training.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from edgegan.compress.distill import QUICK_VALIDATION, make_judge, make_maps
from edgegan.compress.fidelity import psnr_to_teacher
from edgegan.compress.job import Job
from edgegan.compress.slimming.budget import allowed_cost, check_met, make_bundles, project
from edgegan.compress.slimming.deployed import ImageOnly, scheme_of, trace_with_taps
from edgegan.compress.slimming.gates import Gates, scale_names, soft_threshold
from edgegan.compress.slimming.learner import Learner, trained_parameters
from edgegan.compress.slimming.narrow import Narrowed, begin, removable_groups, tied_groups
from edgegan.compress.slimming.published import published_weights
from edgegan.compress.slimming.start import Start
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.distributed import average_gradients
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.kinds import is_counted
from edgegan.recipe.slim_section import Slim
from edgegan.training.freeze import CROPS, freeze_step, hold_statistics, measure_statistics
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Terms, Training, append, check_finite, floats, run_steps
from edgegan.training.objective import Objective, weights_of
from edgegan.training.optimizers import betas_of, set_rate
from edgegan.training.speed import Speed, choose_speed, detach, is_attached

LABEL = "slim"
CALIBRATION_INPUTS = 32
WORTH_COMPILING = 1000  # steps
PAPER_BETAS = (0.5, 0.999)


def slim(start: Start, job: Job, inputs: str) -> Learner:
    """Trains and prunes the start network; returns the learner with the student as it is at the end.

    Appends to the run's metrics (JSON lines: terms, validations, and a line with widths and cost for every cut; their
    "stage" is "slim"). Raises TrainingError when a term is not a number or the budget is missed by more than 3 %.
    """
    recipe, cache, device = job.recipe, job.cache, job.device
    settings, slimming = recipe.distill, recipe.slim
    torch.manual_seed(recipe.seed)
    training = job.training("student", inputs)
    steps = training.schedule.steps
    learner = make_learner(start, job)
    learner.train()
    cuts, quantized_from = cut_steps(steps, slimming), int8_step(steps, slimming)
    frozen_from = freeze_step(steps, settings.freeze_statistics)
    speed = choose_speed(settings, device, compiling=training.compiling)

    def take_step(step: int) -> Terms:
        if step in cuts:
            # The first step that runs after the cut: a run resumed before it makes the cut, and this line, again.
            entry = {"stage": LABEL, "step": step + 1, **cut(learner, start, slimming, cuts[step])}
            append(training.metrics, entry)
            if cuts[step] == 1.0:
                check_met(entry["budget"], entry["cost"], entry["aim"], slimming.round_to)
        if step == quantized_from and learner.scheme is None:
            paper = slimming.form == "paper"
            learner.quantize("paper" if paper else scheme_of(learner.student.module))
            learner.train()
        if learner.scheme is None and step >= frozen_from:
            hold_still(learner, cache, device, measured=step > frozen_from)
        quicken(learner, speed, span(step, steps, [*cuts, quantized_from]))
        lesson = sample(cache, settings, training, step)
        if slimming.form == "paper":
            return paper_step(learner, lesson, settings, slimming, training, step)
        return budget_step(learner, lesson, slimming, training, step)

    def quality(_: int) -> dict[str, float]:
        found = psnr_to_teacher(ImageOnly(learner.runner), cache, device, count=QUICK_VALIDATION)
        learner.train()
        return {"validation_psnr_db": found}

    run_steps(LABEL, learner, take_step, quality, training)
    detach(learner.runner)
    learner.runner.eval()
    learner.student.module.eval()
    return learner


def span(step: int, steps: int, events: Iterable[int]) -> int:
    """How many steps the network that takes this step lives: from the event before it to the next."""
    before = max((each for each in events if 0 <= each <= step), default=0)
    return min((each for each in events if each > step), default=steps) - before


def quicken(learner: Learner, speed: Speed, lives: int) -> None:
    """The runner computes as `speed` says, in float32 once it simulates int8; compiled when it lives long enough."""
    if not is_attached(learner.runner):
        own = speed if learner.scheme is None else replace(speed, bf16=False)
        own.attach(learner.runner, compiled=lives >= WORTH_COMPILING)


def hold_still(learner: Learner, cache: Cache, device: torch.device, *, measured: bool) -> None:
    """BatchNorm with the statistics that it is exported with, measured at the first such step."""
    if not measured:
        measure_statistics(learner.student.module, cache.load(cache.inputs[:CROPS], device))
    hold_statistics(learner.student.module)


def make_learner(start: Start, job: Job) -> Learner:
    """The learner before the first step."""
    cache, device = job.cache, job.device
    settings, slimming = job.recipe.distill, job.recipe.slim
    paper = slimming.form == "paper"
    student = begin(start.module.to(device), start.example.to(device))
    needs_gates = paper or slimming.importance == "norm"
    gates = Gates(student.module, student.graph) if needs_gates else None
    maps = make_maps(student.module, cache, settings, device)
    judge = job.inherited.judge
    objective = Objective(
        published_weights(settings, slimming) if paper else weights_of(settings),
        settings.reconstruction,
        maps,
        None if judge is None else make_judge(judge, settings, device),
        job.inherited.perceptual,
        job.inherited.teacher_is_real,
    )
    if gates is not None:
        gates.attach(student.module, student.graph)
    objective.learnt.to(device)
    trained = trained_parameters(student.module, objective, gates)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(
        trained, settings.learning_rate, betas=betas_of(settings)
    )
    scale_optimizer = None
    if paper:
        scales = scales_of(student, gates)
        optimizer, scale_optimizer = split_optimizers(trained, scales, settings, slimming)
    return Learner(
        student=student,
        taps=cache.taps,
        objective=objective,
        gates=gates,
        example=start.example.to(device),
        images=calibration(cache, device),
        runner=trace_with_taps(student.module, cache.taps, start.example),
        optimizer=optimizer,
        scale_optimizer=scale_optimizer,
    )


def proximal_step(optimizer: torch.optim.Optimizer, scales: list[torch.Tensor], rho: float) -> None:
    """One step of the scales' own optimiser, then the soft threshold of its learning rate times rho, as released.

    Momentum m makes the gradient count 1 / (1 - m) times, the threshold once: in the end a scale is zero where the loss
    pulls at it with at most rho * (1 - m).
    """
    optimizer.step()
    rate = optimizer.param_groups[0]["lr"]
    for scale in scales:
        soft_threshold(scale, rho * rate)


def split_optimizers(
    trained: list[torch.Tensor], scales: list[torch.Tensor], settings: Distill, slimming: Slim
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """The published pair: Adam for weights, SGD with momentum for norm scales and gates."""
    chosen = {id(each) for each in scales}
    weights = [each for each in trained if id(each) not in chosen]
    adam = torch.optim.Adam(
        weights,
        settings.learning_rate,
        betas=betas_of(settings, PAPER_BETAS),
        weight_decay=slimming.weight_decay,
    )
    sgd = torch.optim.SGD(scales, slimming.scale_learning_rate, momentum=slimming.scale_momentum)
    return adam, sgd


def scales_of(student: Narrowed, gates: Gates | None) -> list[torch.Tensor]:
    """Norm scales of free groups, and gates."""
    names = sorted(scale_names(student.module, student.graph))
    scales: list[torch.Tensor] = [student.module.get_parameter(name) for name in names]
    return scales + (list(gates.parameters()) if gates else [])


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


def cut(learner: Learner, start: Start, slimming: Slim, part: float) -> dict[str, Any]:
    """One cut to what the schedule allows; returns what is noted of it."""
    assert start.budget is not None and start.budget_kind is not None
    allowed = allowed_cost(start.full_cost, start.budget, part)
    learner.cut(chosen_channels(learner, start, slimming, allowed, closely=part == 1.0))
    learner.train()
    widths = learner.student.widths()
    return {
        "budget": start.budget_kind,
        "aim": start.budget,
        "allowed": allowed,
        "cost": start.cost(widths),
        "widths": widths,
    }


def chosen_channels(
    learner: Learner, start: Start, slimming: Slim, allowed: float, *, closely: bool
) -> dict[str, torch.Tensor]:
    """The present channels that stay."""
    student = learner.student
    removable = set(removable_groups(start.spec, student.graph).values())
    bundles = make_bundles(
        student.graph,
        tied_groups(start.spec, student.graph),
        removable if slimming.remove_blocks and is_counted(start.budget_kind) else set(),
        slimming.round_to,
    )
    gone = {name: 0 for name, channels in student.kept.items() if not len(channels)}
    scores = learner.importance(slimming.importance)

    def present_cost(widths: Any) -> float:
        return start.cost({**widths, **gone})

    return project(bundles, scores, present_cost, allowed, slimming.round_to, closely=closely)


def budget_step(
    learner: Learner, lesson: Lesson, slimming: Slim, training: Training, step: int
) -> Terms:
    """One step of our form: forward, loss, backward, scores, Adam, discriminator when there is one."""
    rate = training.schedule.rate(step)
    set_rate(learner.optimizer, rate)
    if learner.objective.judge is not None:
        learner.objective.judge.set_rate(training.schedule, step)
    output, *features = learner.runner(lesson.x)
    terms = learner.objective.terms(output, features, lesson)
    check_finite(floats(terms), step + 1, training)
    learner.optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    average_gradients(learner.moved())
    pruning = slimming.prune_times > 0 and step < training.schedule.steps * slimming.prune_until
    if pruning:
        learner.add_scores()
    learner.optimizer.step()
    if slimming.rho > 0 and pruning:
        for scale in scales_of(learner.student, learner.gates):
            soft_threshold(scale, slimming.rho * rate)
    return {**terms, **learner.objective.judge_step(output, lesson)}


def paper_step(
    learner: Learner,
    lesson: Lesson,
    settings: Distill,
    slimming: Slim,
    training: Training,
    step: int,
) -> Terms:
    """One published step: one backward pass for weights and scales, Adam, SGD, soft threshold, discriminator (which
    there is none of where the adversarial term has no weight)."""
    judge, schedule = learner.objective.judge, training.schedule
    assert learner.scale_optimizer is not None
    share = 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
    set_rate(learner.optimizer, schedule.learning_rate * share)
    set_rate(learner.scale_optimizer, slimming.scale_learning_rate * share)
    if judge is not None:
        set_rate(judge.optimizer, settings.discriminator_learning_rate * share)
    output, *features = learner.runner(lesson.x)
    terms = learner.objective.terms(output, features, lesson)
    check_finite(floats(terms), step + 1, training)
    learner.optimizer.zero_grad(set_to_none=True)
    learner.scale_optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    learner.optimizer.step()
    scales = scales_of(learner.student, learner.gates)
    proximal_step(learner.scale_optimizer, scales, slimming.rho)
    terms["scales_l1"] = torch.stack([scale.detach().abs().sum() for scale in scales]).sum()
    chance = random.Random(f"replay:{training.seed}:{step}")
    inputs, shown = learner.replay.take(lesson.x, output, chance)
    return {**terms, **learner.objective.judge_step(shown, lesson, inputs)}


def calibration(cache: Cache, device: torch.device) -> list[torch.Tensor]:
    """The inputs that the exporter calibrates static int8 on, one by one."""
    count = min(CALIBRATION_INPUTS, len(cache.inputs))
    return list(cache.load(cache.inputs[:count], device).split(1))
