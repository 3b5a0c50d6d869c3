"""What each stage takes, for `--dry-run`: in words and in what a probe can time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgegan.compress.teacher.examples import Examples
from edgegan.package import is_package
from edgegan.recipe.schema import Recipe

Unit = Literal["import", "output", "step"]


@dataclass(frozen=True)
class Effort:
    """A stage in words, and as so many imports of the teacher, outputs of the teacher or steps of the student.

    `counted` is True where a run notes how many of them are behind it. Steps of a search are at most, since every
    network counts as the widest.
    """

    words: str
    count: float
    unit: Unit
    counted: bool = False


def none(_recipe: Recipe, _examples: Examples) -> Effort | None:
    """Of a stage that takes too little to tell."""
    return None


def of_import(recipe: Recipe, _examples: Examples) -> Effort | None:
    """A checkpoint is imported; a package is not."""
    if recipe.teacher is None or is_package(recipe.teacher):
        return None
    return Effort(f"{recipe.teacher.name} to a package", 1, "import")


def of_outputs(recipe: Recipe, examples: Examples) -> Effort:
    """The teacher's outputs."""
    crops, held = recipe.data.crops, examples.count("validation")
    return Effort(f"{crops} crops and {held} validation images", crops + held, "output", True)


def of_distillation(recipe: Recipe, _examples: Examples) -> Effort:
    """Steps of the student."""
    settings = recipe.distill
    words = f"{settings.steps} steps of {settings.batch}"
    return Effort(words, settings.steps, "step", True)


def of_slimming(recipe: Recipe, examples: Examples) -> Effort:
    """Steps of the start network, which grow shorter, and of what is left of it."""
    effort, tuning = of_distillation(recipe, examples), recipe.slim.finetune_steps
    more = f", {tuning} of fine-tuning" if tuning else ""
    words = f"{effort.words}{more}, before anything is pruned"
    return Effort(words, effort.count + tuning, "step", True)


def of_pretraining(recipe: Recipe, _examples: Examples) -> Effort | None:
    """Steps of the widest network."""
    steps = recipe.supernet.pretrain_steps
    return Effort(f"{steps} steps", steps, "step") if steps else None


def of_sharing(recipe: Recipe, _examples: Examples) -> Effort:
    """Steps of several sub-networks each."""
    steps, networks = recipe.supernet.steps, recipe.supernet.networks
    return Effort(f"{steps} steps of {networks} sub-networks", steps * networks, "step")


def of_search(recipe: Recipe, _examples: Examples) -> Effort:
    """Evaluations; going forward takes a third of a step."""
    search = recipe.search
    if search.widths:
        return Effort(f"none: {search.widths} as given", search.images / 3, "step")
    evaluations = search.population * (search.generations + 1)
    words = f"at most {evaluations} sub-networks on {search.images} images"
    return Effort(words, evaluations * search.images / 3, "step")


def of_check(recipe: Recipe, _examples: Examples) -> Effort | None:
    """Steps of sub-networks trained alone."""
    networks, steps = recipe.search.check_networks, recipe.search.check_steps
    words = f"{networks} sub-networks alone, {steps} steps each"
    return (
        Effort(words, networks * steps, "step") if networks and not recipe.search.widths else None
    )


def of_finetuning(recipe: Recipe, _examples: Examples) -> Effort | None:
    """Steps of the chosen sub-network."""
    steps = recipe.search.finetune_steps
    return Effort(f"{steps} steps of fine-tuning", steps, "step") if steps else None
