"""The sides of a comparison: each is one training or several behind one another, told by what it changes in a recipe.

The names are those of GAN Slimming (Wang et al., ECCV 2020): GD is distillation with a discriminator of the student's
own (Chen et al. 2020), CP is channel pruning by L1 of norm scales (Liu et al. 2017), and a cascade does one after the
other what their objective does at once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgegan.compress.slimming.start import choose_start
from edgegan.package import read_config
from edgegan.recipe.loading import apply_override, load_recipe, parse_recipe
from edgegan.recipe.schema import Recipe

PUBLISHED = "gan_slimming_paper"
FINETUNE_SHARE = 3  # of the steps, with the sub-network that a search chose
SHRINK = 1.0  # at least so much does the soft threshold take from every scale; scales of norms start at one


@dataclass(frozen=True)
class Stage:
    """One training of an arm: its share of the steps and what it changes in the given recipe.

    `published`: the settings of GAN Slimming's recipe come first. `alone`: it has no budget, since its network has its
    width already or gets it later. `tuned`: this share of its steps is fine-tuning after the cut.
    """

    name: str
    share: float
    overrides: Mapping[str, Any] = field(default_factory=dict)
    published: bool = False
    alone: bool = False
    tuned: float = 0.0


@dataclass(frozen=True)
class Arm:
    """One side of the comparison. Each stage starts from the student of the one before."""

    title: str
    stages: tuple[Stage, ...]


UNIFORM = {"method": "distill"}
TEACHER = {"slim.initial": "teacher", "slim.start": 0, "student.scale": 1.0}
NO_DISTILLATION = {"slim.beta": 0.0, "slim.quantize": "none"}
# L1 by soft threshold and one cut at the end, the recipe's own distance instead of an adversarial one
SPARSIFY = {
    "slim.form": "paper",
    "slim.importance": "norm",
    "slim.quantize": "none",
    "slim.beta": 1.0,
    "slim.gan_weight": 0.0,
    "slim.rho": 0.01,
    "distill.freeze_statistics": 0.0,
}
INT8 = {"slim.prune_times": 0, "slim.quantize": "int8", "slim.quantize_from": 0.0}
WIDE = Stage("distil", 0.35, {**UNIFORM, "distill.freeze_statistics": 0.0}, alone=True)
SPARSE = Stage("sparsify", 0.15, SPARSIFY)


def one(title: str, overrides: Mapping[str, Any] | None = None) -> Arm:
    """An arm of one training."""
    return Arm(title, (Stage("train", 1.0, overrides or {}),))


def released(title: str, overrides: Mapping[str, Any]) -> Arm:
    """An arm that trains as GAN Slimming's authors released it; half of the steps fine-tune, as there."""
    return Arm(title, (Stage("train", 1.0, overrides, published=True, tuned=0.5),))


ARMS = {
    "uniform": one("uniform width, distilled", UNIFORM),
    "gd": one(
        "GD: uniform width, distilled with a discriminator of its own",
        {**UNIFORM, "distill.gan_weight": 1.0, "distill.discriminator": "fresh"},
    ),
    "cp": released(
        "CP: the teacher sparsified by L1 and cut, no distillation", {**TEACHER, **NO_DISTILLATION}
    ),
    "d_cp": Arm(
        "D+CP: distilled, then sparsified and cut without distillation",
        (
            Stage("distil", 0.5, UNIFORM, alone=True),
            Stage("prune", 0.5, NO_DISTILLATION, published=True, tuned=0.5),
        ),
    ),
    "cp_d": Arm(
        "CP+D: the teacher sparsified and cut, then distilled",
        (
            Stage("prune", 0.5, {**TEACHER, **NO_DISTILLATION}, published=True),
            Stage("distil", 0.5, UNIFORM, alone=True),
        ),
    ),
    "cut_first": Arm(
        "cut first, then distilled, then int8 simulated",
        (
            Stage("cut", 0.15, SPARSIFY),
            Stage("distil", 0.70, UNIFORM, alone=True),
            Stage("int8", 0.15, INT8, alone=True),
        ),
    ),
    "cascade_ptq": Arm(
        "cascade: distilled, sparsified, cut, distilled; int8 after training",
        (WIDE, SPARSE, Stage("recover", 0.5, UNIFORM, alone=True)),
    ),
    "cascade": Arm(
        "cascade: distilled, sparsified, cut, distilled, then int8 simulated",
        (
            WIDE,
            SPARSE,
            Stage("recover", 0.35, UNIFORM, alone=True),
            Stage("int8", 0.15, INT8, alone=True),
        ),
    ),
    "gs_no_d": released("GS-8 without distillation", {**TEACHER, "slim.beta": 0.0}),
    "gs_no_cp": released(
        "GS-8 without pruning: the teacher's strongest channels at the budget",
        {**TEACHER, "slim.start": 1.0, "slim.rho": 0.0},
    ),
    "gs32": released(
        "GS-32, which is GS-8 without quantization", {**TEACHER, "slim.quantize": "none"}
    ),
    "gs8": released("GS-8, as released", TEACHER),
    "slimming": one("ours: budget, Taylor scores, runtime's int8"),
    "norm_scores": one("ours, scores from norm scales", {"slim.importance": "norm"}),
    "no_int8": one("ours, int8 after training only", {"slim.quantize": "none"}),
    "gan_compression": one(
        "GAN Compression's student",
        {"method": "gan-compression", "supernet.pretrain_steps": 0, "search.check_networks": 0},
    ),
}
# Shu et al. (ICCV 2019), as GAN Slimming's table quotes it: not trained here, since it needs a cycle of two generators.
QUOTED = (
    "CEC (co-evolution, Shu et al. 2019), as published and not trained here: CycleGAN horse2zebra 12.51 G MACs, "
    "10.19 MB (4.23 and 4.27 times below the original); GAN Slimming's own count of MACs, in 2^30."
)


def recipes_of(recipe: Recipe, method: str, seed: int) -> list[tuple[str, Recipe]]:
    """The trainings of one arm in order, by name: together as many steps as the given recipe has, at its budget."""
    steps, found = recipe.distill.steps, []
    stages = ARMS[method].stages
    for index, stage in enumerate(stages):
        before = round(steps * sum(each.share for each in stages[:index]))
        upto = round(steps * sum(each.share for each in stages[: index + 1]))
        values = values_for(recipe, stage, max(1, upto - before), first=index == 0)
        values["seed"], values["name"] = seed, f"{recipe.name}_{method}_{stage.name}"
        found.append((stage.name, parse_recipe(values, f"{recipe.name} ({method}, {stage.name})")))
    return found


def values_for(recipe: Recipe, stage: Stage, steps: int, *, first: bool) -> dict[str, Any]:
    """What a stage's recipe says, with all its steps; only the `first` stage chooses a width where it has no budget."""
    values = recipe.model_dump(mode="json")
    if stage.published:
        for section, settings in published_settings().items():
            values[section] |= copy.deepcopy(settings)
    for key, value in stage.overrides.items():
        apply_override(values, f"{key}={value}")
    tuned = round(steps * stage.tuned)
    values["distill"]["steps"], values["slim"]["finetune_steps"] = max(1, steps - tuned), tuned
    values["slim"]["finetune_discriminator"] = bool(
        stage.published and tuned and values["slim"]["gan_weight"]
    )
    if values["slim"]["form"] == "paper" and values["slim"]["rho"] > 0:
        values["slim"]["rho"] = threshold(values)
    if values["method"] == "distill" and first:
        # alone: as wide as slimming starts; else the scale that comes closest from above
        values["student"]["scale"] = uniform_scale(
            recipe, max(1.0, recipe.slim.start) if stage.alone else 1.0
        )
    if values["method"] == "distill" or stage.alone:
        values["budget"] = {}
    if values["method"] == "gan-compression":
        values["student"]["scale"] = uniform_scale(recipe, max(1.0, recipe.slim.start))
        values["supernet"]["round_to"] = recipe.slim.round_to
        networks = recipe.supernet.networks
        shared = max(1, (steps - steps // FINETUNE_SHARE) // networks)
        values["supernet"]["steps"] = shared
        values["search"]["finetune_steps"] = max(0, steps - shared * networks)
    return values


@cache
def published_settings() -> dict[str, dict[str, Any]]:
    """What the recipe of GAN Slimming as released sets of the two sections that decide its training."""
    recipe = load_recipe(PUBLISHED, [])
    own = {
        "slim": recipe.slim.model_dump(mode="json", exclude_unset=True),
        "distill": recipe.distill.model_dump(mode="json", exclude_unset=True),
    }
    for key in ("steps", "batch"):
        own["distill"].pop(key, None)
    return own


def threshold(values: Mapping[str, Any]) -> float:
    """The weight of L1: as published, or so much more in a short training that a scale without gradient reaches zero
    (its step sizes follow a cosine, whose mean is a half)."""
    steps, rate = values["distill"]["steps"], values["slim"]["scale_learning_rate"]
    published = float(published_settings()["slim"]["rho"])
    return max(published, SHRINK / (0.5 * rate * steps))


def uniform_scale(recipe: Recipe, budgets: float) -> float:
    """The scale at which a uniformly narrow student costs this many budgets."""
    return scale_of(recipe.model_dump_json(exclude={"seed", "distill"}), budgets)


@cache
def scale_of(recipe: str, budgets: float) -> float:
    """The same for a recipe as JSON."""
    known = Recipe.model_validate_json(recipe)
    assert known.teacher is not None
    slimming = known.slim.model_copy(update={"start": budgets, "initial": "random"})
    wide = known.model_copy(update={"slim": slimming})
    return choose_start(read_config(known.teacher), known.teacher, wide).scale


def same_trainings(recipe: Recipe, methods: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """Pairs of arms whose recipes differ in nothing but their names."""
    seen: dict[str, str] = {}
    twice = []
    for method in methods:
        told = repr([content(own) for _, own in recipes_of(recipe, method, seed)])
        if told in seen:
            twice.append((seen[told], method))
        seen.setdefault(told, method)
    return twice


def content(recipe: Recipe) -> dict[str, Any]:
    """A recipe without its names."""
    return recipe.model_dump(mode="json", exclude={"name", "description"})


def starting_from(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe of a stage that goes on from the student of the run `folder`."""
    student = recipe.student.model_copy(update={"start": str(folder.resolve())})
    slimming = recipe.slim.model_copy(update={"initial": "random"})
    return recipe.model_copy(update={"student": student, "slim": slimming})
