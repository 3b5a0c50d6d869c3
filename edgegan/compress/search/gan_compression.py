"""GAN Compression (Li et al. 2020), stage by stage: pre-distillation, supernet, search, check, fine-tuning.

The original pipeline pre-distils and sorts channels (`supernet.pretrain_steps` above 0); the fast one trains the
supernet from the start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.channels.space import Widths
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.costs.measured import predicted_costs
from edgegan.compress.costs.plan import PlanCosts
from edgegan.compress.distill import Trainer, distill, make_trainer
from edgegan.compress.fidelity import Fitness, search_psnr
from edgegan.compress.inherited import Inherited
from edgegan.compress.job import Job, training_settings
from edgegan.compress.search.evolution import Candidate, Searcher, check_reachable, uniform_fits
from edgegan.compress.search.front import front_table, write_front
from edgegan.compress.search.supernet import Shared, share, sort_channels, train_supernet
from edgegan.compress.search.widths import Genome, width_space
from edgegan.console import say
from edgegan.distributed import is_main
from edgegan.errors import ConfigError
from edgegan.files import write_atomic
from edgegan.metrics.complexity import format_macs
from edgegan.metrics.ranks import spearman
from edgegan.models.blocks import initialise
from edgegan.models.zoo import CUSTOM, build
from edgegan.package import PackageConfig, input_shape
from edgegan.recipe.schema import COUNTED, Recipe
from edgegan.training.schedule import schedule_of

States = dict[str, dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and the hash of what it was found from."""

    chosen: Candidate
    candidates: list[Candidate]
    inputs: str


def gan_compression(job: Job) -> tuple[nn.Module, Any, str, float]:
    """Runs every stage that is not done; returns the student, its spec, the hash of what it was made from, and when
    its fine-tuning began."""
    example = job.cache.load(job.cache.inputs[:1], torch.device("cpu"))
    shared = make_shared(job.family, job.spec, example, job.recipe, job.cache.taps)
    searcher = make_searcher(job, shared)
    pretrained = pretrain(job, shared)
    trained = train_shared(job, shared, pretrained)
    found = search(job, shared, searcher, trained)
    check_ranks(job, shared, found)
    started = time.monotonic()
    return (*finetune(job, shared, trained, found), started)


def check_budget(config: PackageConfig, spec: Any, recipe: Recipe) -> None:
    """Raises ConfigError without a budget, BudgetError when widths alone tell that it cannot be reached."""
    limits = recipe.budget.limits()
    if not limits:
        raise ConfigError(
            "method gan-compression needs a budget: --budget-macs, --budget-params, --budget-bytes, --budget-ms or "
            "--budget-instructions"
        )
    example = torch.zeros(input_shape(config.input, recipe.data.size))
    shared = make_shared(config.family, spec, example, recipe, [])
    costs = counted_costs(shared, example)
    narrowest = shared.space.plan(shared.space.narrowest())
    check_reachable(costs(narrowest), {k: v for k, v in limits.items() if k in COUNTED})


def make_shared(
    family: str, widest: Any, example: torch.Tensor, recipe: Recipe, taps: list[str]
) -> Shared:
    """The widest network with fresh weights, traced, with its search space."""
    torch.manual_seed(recipe.seed)
    module = build(family, widest)
    initialise(module)
    graph = trace_channels(module, example)
    spec = None if family == CUSTOM else type(widest)
    space = width_space(graph, spec, recipe.supernet.smallest, recipe.supernet.round_to)
    return share(module, graph, space, taps)


def make_searcher(job: Job, shared: Shared) -> Searcher:
    """The search over the shared weights; its fitness needs them trained, its budget check does not."""
    recipe = job.recipe
    example = job.cache.load(job.cache.inputs[:1], torch.device("cpu"))
    counted = counted_costs(shared, example)
    predicted: dict[str, Callable[[Genome], float]] = {}

    def costs(genome: Genome) -> dict[str, float]:
        more = {name: price(genome) for name, price in predicted.items()}
        return {**counted(shared.space.plan(genome)), **more}

    searcher = Searcher(
        space=shared.space,
        costs=costs,
        fitness=lambda _: math.nan,
        limits=recipe.budget.limits(),
        settings=recipe.search,
        seed=recipe.seed,
        journal=job.run.stage_folder("search") / "search.jsonl",
    )
    predicted |= predicted_costs(job, shared)
    searcher.check_budget()
    return searcher


def counted_costs(shared: Shared, example: torch.Tensor) -> Callable[[Widths], dict[str, float]]:
    """MACs, parameters and bytes of the int8 .tflite file by widths."""
    costs = PlanCosts(shared.module, shared.graph, example)
    size = tabulate(shared.module, example, shared.graph).bytes
    return lambda plan: {**costs(plan), "bytes": size(plan)}


def pretrain(job: Job, shared: Shared) -> States | None:
    """Distils the widest network alone and sorts its channels (the original pipeline); None in the fast one."""
    settings = job.recipe.supernet
    if settings.pretrain_steps == 0:
        return None
    distilling = job.recipe.distill
    schedule = schedule_of(distilling, steps=settings.pretrain_steps)
    inputs = job.hash(training_settings(distilling, schedule), settings.sort)
    folder = job.run.stage_folder("pretrain")
    path = folder / "pretrained.safetensors"
    if not job.run.is_done("pretrain", inputs):
        started = time.monotonic()
        training = job.training("pretrain", inputs, schedule)
        trainer = distill(
            shared.module, job.cache, distilling, job.inherited, training, label="pretrain"
        )
        sort_channels(shared, trainer, job.cache, distilling, settings.sort, training)
        save_states(path, trainer)
        job.run.finish("pretrain", inputs, [path], started)
    return load_states(path)


def train_shared(job: Job, shared: Shared, start: States | None) -> States:
    """Trains the supernet and loads it into `shared`."""
    recipe = job.recipe
    sharing = recipe.supernet.model_dump(mode="json")
    inputs = job.hash(training_settings(recipe.distill), sharing)
    schedule = schedule_of(recipe.distill, steps=recipe.supernet.steps)
    path = job.run.stage_folder("supernet") / "supernet.safetensors"
    if not job.run.is_done("supernet", inputs):
        started = time.monotonic()
        trainer = train_supernet(
            shared,
            job.cache,
            recipe.distill,
            recipe.supernet,
            job.inherited,
            start,
            job.training("supernet", inputs, schedule),
        )
        save_states(path, trainer)
        job.run.finish("supernet", inputs, [path], started)
    states = load_states(path)
    shared.module.load_state_dict(states["student"])
    shared.module.to(job.device).eval()
    return states


def search(job: Job, shared: Shared, searcher: Searcher, trained: States) -> Found:
    """Finds the best sub-network within the budgets, prints the front and keeps it."""
    recipe = job.recipe
    cost = next(iter(searcher.limits))
    folder = job.run.stage_folder("search")
    supernet = job.run.manifest["stages"]["supernet"]["outputs"]
    inputs = job.hash(
        supernet, recipe.search.model_dump(mode="json"), recipe.budget.model_dump(mode="json")
    )
    started = time.monotonic()
    if "search" in job.run.manifest["stages"] and not job.run.is_done("search", inputs):
        searcher.journal.unlink(missing_ok=True)  # it was finished and is not what it was
    searcher.fitness = make_fitness(job, shared, trained)
    candidates, why = searcher.run(inputs)
    chosen = candidates[0]
    uniform = next(
        (searcher.known[each] for each in uniform_fits(searcher) if each in searcher.known), None
    )
    say(front_table(candidates, chosen, cost, recipe.search.fitness))
    beside = ""
    if uniform is not None:
        beside = f"; scaling every width alike gives {uniform.fitness:.3f}"
    say(
        f"search: {why}; best {recipe.search.fitness} {chosen.fitness:.3f} at "
        f"{format_macs(chosen.costs['macs'])}MACs, {chosen.costs['params']:,.0f} parameters{beside}"
    )
    if not job.run.is_done("search", inputs):
        files = []
        if is_main():
            files = write_front(
                folder, shared.space, candidates, chosen, uniform, cost, recipe.search.fitness
            )
        job.run.finish(
            "search",
            inputs,
            [*files, searcher.journal],
            started,
            evaluated=len(candidates),
            why=why,
            fitness=chosen.fitness,
            uniform_fitness=uniform.fitness if uniform else None,
            **{f"chosen_{name}": value for name, value in chosen.costs.items()},
        )
    return Found(chosen, candidates, inputs)


def make_fitness(job: Job, shared: Shared, trained: States) -> Callable[[Genome], float]:
    """Scores a genome with the shared weights."""
    maps = None
    if job.recipe.search.fitness == "feature":
        maps = make_trainer(
            shared.module, job.cache, job.recipe.distill, job.inherited, job.device
        ).objective.maps
        if maps is None:
            raise ConfigError("search.fitness feature needs distill.feature_weight above 0")
        maps.load_state_dict(trained["maps"])
    score = Fitness(shared, job.cache, job.recipe.search.fitness, maps, job.device)
    return lambda genome: score(shared.space.plan(genome))


def check_ranks(job: Job, shared: Shared, found: Found) -> None:
    """Trains a few sub-networks alone, and says how well the supernet had ranked them."""
    settings = job.recipe.search
    count = min(settings.check_networks, len(found.candidates))
    if count < 2:
        return
    distilling, steps = job.recipe.distill, settings.check_steps
    schedule = schedule_of(distilling, steps=steps, warmup=steps // 10)
    trained = {**training_settings(distilling, schedule), "compile": False}
    inputs = job.hash(found.inputs, trained, count)
    if not job.run.is_done("check", inputs):
        started = time.monotonic()
        last = len(found.candidates) - 1
        picked = [found.candidates[round(i * last / (count - 1))] for i in range(count)]
        alone = []
        for number, candidate in enumerate(picked, 1):
            student = extract(shared.module, shared.graph, shared.space.plan(candidate.genome))
            torch.manual_seed(job.recipe.seed)
            initialise(student)
            own = job.hash(inputs, candidate.genome)
            training = replace(job.training(f"check{number}", own, schedule), compiling=False)
            label = f"check {number}/{count} alone"
            distill(student, job.cache, distilling, Inherited(), training, label=label)
            alone.append(search_psnr(student, job.cache, job.device))
        job.run.finish(
            "check",
            inputs,
            [],
            started,
            genomes=[list(each.genome) for each in picked],
            shared=[each.fitness for each in picked],
            alone=alone,
            spearman=spearman([each.fitness for each in picked], alone),
        )
    figures = job.run.figures("check")
    say(
        f"rank correlation (Spearman) of the supernet's scores with {count} sub-networks trained alone for "
        f"{settings.check_steps} steps: {figures['spearman']:.2f}"
    )


def finetune(job: Job, shared: Shared, trained: States, found: Found) -> tuple[nn.Module, Any, str]:
    """The chosen sub-network as a module of its own, distilled further with the maps and discriminator it grew up
    with."""
    recipe = job.recipe
    plan = shared.space.plan(found.chosen.genome)
    student = extract(shared.module.cpu(), shared.graph, plan)
    spec = job.spec_of(shared.graph, plan)
    steps = recipe.search.finetune_steps
    schedule = schedule_of(recipe.distill, steps=max(1, steps))
    trained_by = training_settings(recipe.distill, schedule)
    inputs = job.hash(found.inputs, found.chosen.genome, trained_by, steps)
    if job.run.is_done("distill", inputs) or steps == 0:
        return student.eval(), spec, inputs
    states: dict[str, Any] = {"judge": trained.get("judge") or None}
    if trained.get("maps"):
        columns = shared.columns(plan)
        states["maps"] = {
            name: value[:, columns[int(name.split(".")[1])]] if name.endswith("weight") else value
            for name, value in trained["maps"].items()
        }
    distill(
        student,
        job.cache,
        recipe.distill,
        job.inherited,
        job.training("finetune", inputs, schedule),
        label="finetune",
        start=states,
    )
    return student, spec, inputs


def save_states(path: Path, trainer: Trainer) -> None:
    """Writes student, feature maps and discriminator; only the first of several processes does."""
    if not is_main():
        return
    maps, judge = trainer.objective.maps, trainer.objective.judge
    parts = {
        "student": trainer.student,
        "maps": maps,
        "judge": judge.module if judge else None,
    }
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous().clone()
        for part, module in parts.items()
        if module is not None
        for name, value in module.state_dict().items()
    }
    write_atomic(path, save(tensors))


def load_states(path: Path) -> States:
    """What `save_states` wrote, by part."""
    states: States = {"student": {}, "maps": {}, "judge": {}}
    for key, value in load_file(path).items():
        part, _, name = key.partition("/")
        states[part][name] = value
    return states
