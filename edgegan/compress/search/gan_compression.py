"""GAN Compression (Li et al. 2020), stage by stage: pre-distillation, supernet, search, check, fine-tuning.

The original pipeline pre-distils and sorts channels (`supernet.pretrain_steps` above 0); the fast one trains the
supernet from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.costs.measured import measured_costs
from edgegan.compress.costs.network import NetworkCosts, check_reachable, within
from edgegan.compress.distill import distill, make_trainer
from edgegan.compress.form import check_own, student_spec
from edgegan.compress.job import Job, Order, Shaped, training_settings, values_of
from edgegan.compress.search.evolution import Candidate, Searcher, uniform_fits
from edgegan.compress.search.fitness import Fitness
from edgegan.compress.search.front import front_table, write_front, written
from edgegan.compress.search.network_scores import Score, check_judge, judge_inputs, open_score
from edgegan.compress.search.states import States, load_states, save_states, states_of
from edgegan.compress.search.supernet import Shared, share, sort_channels, train_supernet
from edgegan.compress.search.widths import Genome, searched_space
from edgegan.compress.student import Made, finish_student
from edgegan.console import format_cost, say
from edgegan.distributed import is_main
from edgegan.errors import BudgetError, ConfigError
from edgegan.metrics.complexity import format_macs
from edgegan.models.blocks import initialise
from edgegan.models.catalogue import measure_spec
from edgegan.models.spec import Spec
from edgegan.models.zoo import build
from edgegan.package import input_shape
from edgegan.recipe.schema import Recipe
from edgegan.recipe.search_section import metric_name
from edgegan.training.schedule import schedule_of

LATER_SUPERNET = ("tied", "choices")
LATER_SEARCH = ("widths", "network", "reference")


@dataclass(frozen=True)
class Sharing:
    """The widest network with its sub-networks, what they cost, and the states that its last training left."""

    job: Job
    shared: Shared
    costs: NetworkCosts
    states: States | None = None

    def costs_of(self, genome: Genome) -> dict[str, float]:
        """Every known cost of a sub-network."""
        return self.costs.at(self.shared.space.plan(genome))


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and the hash of what it was found from."""

    sharing: Sharing
    trained: States
    chosen: Candidate
    candidates: list[Candidate]
    inputs: str

    def spec(self) -> Spec:
        """The chosen sub-network's spec."""
        job, shared = self.sharing.job, self.sharing.shared
        return job.spec_of(shared.graph, shared.space.plan(self.chosen.genome))

    def published(self) -> tuple[str, int] | None:
        """Its published config, and its MACs as the papers count them; None where its widths are not of that form."""
        spec = self.spec()
        try:
            config = spec.to_config()
        except ConfigError:
            return None
        return config, measure_spec(spec, self.sharing.job.recipe.data.size).macs_published


def widest_student(order: Order) -> Shaped:
    """The student at `student.scale` is the widest that the search may choose.

    Raises BudgetError when widths alone tell that a budget cannot be reached.
    """
    config, recipe = order.config, order.recipe
    check_own(config, recipe)
    check_judge(recipe, config)
    spec = student_spec(config, recipe.student)
    example = torch.zeros(input_shape(config.input, recipe.data.size))
    shared, costs = make_shared(config.family, spec, example, recipe, [])
    check_costs(shared, spec, costs, recipe)
    return Shaped(order, spec)


def check_costs(shared: Shared, spec: Spec, costs: NetworkCosts, recipe: Recipe) -> None:
    """Raises BudgetError when widths alone tell that a budget cannot be met, ConfigError for widths not there."""
    if given_genome(shared, spec, costs, recipe) is None:
        narrowest = shared.space.plan(shared.space.narrowest())
        check_reachable(costs.at(narrowest), recipe.budget.limits())


def make_shared(
    family: str, widest: Any, example: torch.Tensor, recipe: Recipe, taps: list[str]
) -> tuple[Shared, NetworkCosts]:
    """The widest network with fresh weights, traced, with its search space, and what its sub-networks cost."""
    torch.manual_seed(recipe.seed)
    module = build(family, widest)
    initialise(module)
    graph = trace_channels(module, example)
    space = searched_space(graph, type(widest), recipe.supernet)
    costs = NetworkCosts(tabulate(module, example, graph))
    return share(module, graph, space, taps), costs


def given_genome(shared: Shared, spec: Spec, costs: NetworkCosts, recipe: Recipe) -> Genome | None:
    """The sub-network whose published config the recipe gives, if it gives one.

    Raises ConfigError for one that the supernet does not hold, BudgetError for one that breaks a budget.
    """
    config = recipe.search.widths
    if not config:
        return None
    plan, groups = spec.with_config(config).plan(shared.graph), shared.graph.groups
    for name, width in plan.items():
        if width > groups[name].size:
            raise ConfigError(
                f"search.widths {config}: '{name}' has {width} channels, the supernet {groups[name].size}; "
                "raise student.scale"
            )
    genome = shared.space.genome(plan)
    spent, limits = costs.at(shared.space.plan(genome)), recipe.budget.limits()
    if not within(spent, limits):
        over = ", ".join(f"{format_cost(spent[kind])} {kind}" for kind in limits if kind in spent)
        raise BudgetError(f"search.widths {config} costs {over}: raise the budget, or set none")
    return genome


def share_weights(job: Job) -> Sharing:
    """The network that sub-networks share, and their costs, measured where a budget is of such a kind."""
    example = job.cache.load(job.cache.inputs[:1], torch.device("cpu"))
    shared, costs = make_shared(job.family, job.spec, example, job.recipe, job.cache.taps)
    job.start_student(shared.module)
    sharing = Sharing(job, shared, costs.with_measured(measured_costs(job, shared)))
    check_costs(shared, job.spec, sharing.costs, job.recipe)
    return sharing


def pretrain(sharing: Sharing) -> Sharing:
    """Distils the widest network alone and sorts its channels: the original pipeline. The fast one does not."""
    job, shared = sharing.job, sharing.shared
    settings = job.recipe.supernet
    if settings.pretrain_steps == 0:
        return sharing
    distilling = job.recipe.distill
    schedule = schedule_of(distilling, steps=settings.pretrain_steps)
    inputs = job.hash(training_settings(distilling, schedule), settings.sort)
    with job.run.stage("pretrain", inputs) as stage:
        path = stage.folder / "pretrained.safetensors"
        if stage.todo:
            training = job.training("pretrain", inputs, schedule)
            trainer = distill(
                shared.module, job.cache, distilling, job.inherited, training, label="pretrain"
            )
            sort_channels(shared, trainer, job.cache, distilling, settings.sort, training)
            save_states(path, trainer)
            stage.wrote(path)
    return replace(sharing, states=load_states(path))


def train_shared(sharing: Sharing) -> Sharing:
    """Trains the supernet, from what pre-distillation left if there was any, and loads it into `shared`."""
    job, shared, recipe = sharing.job, sharing.shared, sharing.job.recipe
    sharing_by = values_of(recipe.supernet, LATER_SUPERNET)
    inputs = job.hash(training_settings(recipe.distill), sharing_by)
    schedule = schedule_of(recipe.distill, steps=recipe.supernet.steps)
    with job.run.stage("supernet", inputs) as stage:
        path = stage.folder / "supernet.safetensors"
        if stage.todo:
            trainer = train_supernet(
                shared,
                job.cache,
                recipe.distill,
                recipe.supernet,
                job.inherited,
                sharing.states,
                job.training("supernet", inputs, schedule),
            )
            save_states(path, trainer)
            stage.wrote(path)
    states = load_states(path)
    shared.module.load_state_dict(states["student"])
    shared.module.to(job.device).eval()
    return replace(sharing, states=states)


def search(sharing: Sharing) -> Found:
    """Finds the best sub-network within the budgets, prints the front and keeps it."""
    job, recipe, trained = sharing.job, sharing.job.recipe, sharing.states
    assert trained is not None
    supernet = job.run.manifest["stages"]["supernet"]["outputs"]
    searched_by = values_of(recipe.search, LATER_SEARCH) | judge_inputs(recipe.search)
    inputs = job.hash(supernet, searched_by, recipe.budget.model_dump(mode="json"))
    with (
        job.run.stage("search", inputs) as stage,
        open_score(job, needed=stage.todo) as judge,
    ):
        if judge is not None:
            say(f"search by {judge.title}")
        searcher = Searcher(
            space=sharing.shared.space,
            costs=sharing.costs_of,
            fitness=make_fitness(sharing, trained, judge),
            limits=recipe.budget.limits(),
            settings=recipe.search,
            seed=recipe.seed,
            journal=stage.folder / "search.jsonl",
        )
        if stage.stale:
            searcher.journal.unlink(missing_ok=True)  # it was finished and is not what it was
        given = given_genome(sharing.shared, job.spec, sharing.costs, recipe)
        candidates, why = searcher.run(inputs, given)
        uniform = next(
            (searcher.known[each] for each in uniform_fits(searcher) if each in searcher.known),
            None,
        )
        found = Found(sharing, trained, candidates[0], candidates, inputs)
        say_found(found, uniform, why)
        if stage.todo:
            cost, metric = first_cost(recipe), recipe.search.fitness
            if is_main():
                chosen, space = found.chosen, searcher.space
                stage.wrote(
                    *write_front(stage.folder, space, candidates, chosen, uniform, cost, metric)
                )
            stage.wrote(searcher.journal)
            stage.note(
                evaluated=len(candidates),
                why=why,
                **({"by": judge.title} if judge else {}),
                **dict(zip(("config", "macs_published"), found.published() or (), strict=False)),
                fitness=found.chosen.fitness,
                uniform_fitness=uniform.fitness if uniform else None,
                **{f"chosen_{kind}": value for kind, value in found.chosen.costs.items()},
            )
    return found


def say_found(found: Found, uniform: Candidate | None, why: str) -> None:
    """Prints the front, the best sub-network and what scaling by hand would give."""
    recipe, chosen = found.sharing.job.recipe, found.chosen
    cost, metric = first_cost(recipe), recipe.search.fitness
    for line in front_table(found.candidates, chosen, cost, metric).splitlines():
        say(line)
    beside = ""
    if uniform is not None:
        beside = f"; scaling every width alike gives {written(metric, uniform)}"
    say(
        f"search: {why}; best {metric_name(metric)} {written(metric, chosen)} at "
        f"{format_macs(chosen.costs['macs'])}MACs, {chosen.costs['params']:,.0f} parameters{beside}"
    )
    published = found.published()
    if published is not None:
        config, macs = published
        say(
            f"its published config, for --widths: {config} ({format_macs(macs)}MACs as the papers count)"
        )


def first_cost(recipe: Recipe) -> str:
    """The kind of the first budget, MACs where there is none: what the front is drawn over."""
    return next(iter(recipe.budget.limits()), "macs")


def make_fitness(
    sharing: Sharing, trained: States, judge: Score | None
) -> Callable[[Genome], float]:
    """Scores a genome with the shared weights."""
    job, shared = sharing.job, sharing.shared
    maps = None
    if job.recipe.search.fitness == "feature":
        maps = make_trainer(
            shared.module, job.cache, job.recipe.distill, job.inherited, job.device
        ).objective.maps
        if maps is None:
            raise ConfigError("search.fitness feature needs distill.feature_weight above 0")
        maps.load_state_dict(trained["maps"])
    score = Fitness(
        shared, job.cache, job.recipe.search.fitness, maps, job.device, judge.of if judge else None
    )
    return lambda genome: score(shared.space.plan(genome))


def finetune(found: Found) -> Job:
    """The stage "student": the chosen sub-network as a module of its own, distilled further with the maps and the
    discriminator it grew up with."""
    sharing, job = found.sharing, found.sharing.job
    shared, steps = sharing.shared, job.recipe.search.finetune_steps
    settings = job.recipe.distill
    schedule = schedule_of(settings, steps=max(1, steps))
    trained_by = training_settings(settings, schedule)
    inputs = job.hash(found.inputs, found.chosen.genome, trained_by, steps)

    def train() -> Made:
        plan = shared.space.plan(found.chosen.genome)
        student = extract(shared.module.cpu(), shared.graph, plan)
        if steps > 0:
            training = job.training("finetune", inputs, schedule)
            start = states_of(found.trained, shared.columns(plan))
            distill(
                student,
                job.cache,
                settings,
                job.inherited,
                training,
                label="finetune",
                start=start,
            )
        return Made(job.spec_of(shared.graph, plan), student)

    finish_student(job, inputs, train)
    return job
