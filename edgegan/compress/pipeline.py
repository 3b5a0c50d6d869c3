"""`edgegan compress`: every stage of every method in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgegan import distributed
from edgegan.compress import efforts
from edgegan.compress.efforts import Effort
from edgegan.compress.inherited import inherit, inherits_judge
from edgegan.compress.job import Job, Order, Shaped
from edgegan.compress.search import gan_compression
from edgegan.compress.search.rank_check import check_ranks
from edgegan.compress.slimming import gan_slimming
from edgegan.compress.teacher.cache import Cache
from edgegan.compress.teacher.examples import Examples, announce, open_examples
from edgegan.compress.teacher.live import Live
from edgegan.compress.teacher.outputs import TEACHER_CACHE, cache_teacher, resolve_teacher
from edgegan.compress.uniform_student import distil_student, meet_measured, uniform_student
from edgegan.console import say
from edgegan.files import sha256_file
from edgegan.metrics.complexity import format_macs, measure
from edgegan.metrics.gain import no_gain
from edgegan.models.judges import load_judge
from edgegan.models.zoo import build
from edgegan.package import input_shape, package_hash
from edgegan.recipe.kinds import Method
from edgegan.recipe.schema import Recipe
from edgegan.run import MANIFEST, STUDENT, Run, package_of
from edgegan.training.memory import explain_out_of_memory
from edgegan.training.speed import choose_device


@dataclass(frozen=True)
class Part:
    """One stage: what it does with what the stage before handed on, and what it takes (None: too little to tell)."""

    name: str
    work: Callable[[Any], Any]
    effort: Callable[[Recipe, Examples], Effort | None] = efforts.none


def import_teacher(order: Order) -> Order:
    """The teacher as a package, with the discriminator that the recipe asks for."""
    teacher = resolve_teacher(order.run, order.recipe)
    if inherits_judge(order.recipe.distill):
        load_judge(teacher)  # says so now when there is none, not after the teacher's outputs
    return order


def cache_outputs(shaped: Shaped) -> Job:
    """The teacher's outputs on disk, and with them all that training works on."""
    order, recipe, teacher = shaped.order, shaped.order.recipe, shaped.order.teacher
    settings, device = recipe.distill, order.device
    folder = cache_teacher(order.run, recipe, teacher, order.examples, device)

    def in_loop(taps: list[str]) -> Live:
        reals = settings.gan_weight > 0
        return Live(teacher, order.examples, taps, settings.tap_pool, device, reals=reals)

    cache = Cache(folder, in_loop if settings.teacher == "loop" else None)
    inputs = {
        "teacher": package_hash(teacher),
        "cache": sha256_file(folder / "cache.json"),
        "cache_inputs": order.run.manifest["stages"][TEACHER_CACHE]["inputs"],
        "flip": recipe.data.flip,
        "seed": recipe.seed,
    }
    inputs |= first_weights(recipe)
    inherited = inherit(teacher, recipe, cache.taps, device)
    return Job(order, shaped.spec, cache, inherited, inputs, shaped.start, shaped.figures)


def first_weights(recipe: Recipe) -> dict[str, str]:
    """What of the student's first weights a run depends on, where they are not random."""
    earlier = recipe.student.earlier
    package = package_of(earlier) if earlier is not None else None
    if package is not None:
        return {"start": package_hash(package)}
    return {"start": recipe.student.start} if recipe.student.start != "random" else {}


IMPORT = Part("import", import_teacher, efforts.of_import)
CACHE = Part(TEACHER_CACHE, cache_outputs, efforts.of_outputs)
METHODS: dict[Method, tuple[Part, ...]] = {
    "distill": (
        IMPORT,
        Part("shape", uniform_student),
        CACHE,
        Part("scale", meet_measured),
        Part(STUDENT, distil_student, efforts.of_distillation),
    ),
    "gan-compression": (
        IMPORT,
        Part("shape", gan_compression.widest_student),
        CACHE,
        Part("share", gan_compression.share_weights),
        Part("pretrain", gan_compression.pretrain, efforts.of_pretraining),
        Part("supernet", gan_compression.train_shared, efforts.of_sharing),
        Part("search", gan_compression.search, efforts.of_search),
        Part("check", check_ranks, efforts.of_check),
        Part(STUDENT, gan_compression.finetune, efforts.of_finetuning),
    ),
    "gan-slimming": (
        IMPORT,
        Part("shape", gan_slimming.start_network),
        CACHE,
        Part(STUDENT, gan_slimming.slim_student, efforts.of_slimming),
    ),
}


def compress(recipe: Recipe, folder: Path, *, overwrite: bool = False) -> Run:
    """Makes a student of the recipe's teacher; `folder` becomes a run, or the run in it goes on."""
    device = distributed.start(choose_device(recipe.device))
    note = folder / "stages" / "checked.json"
    known = note if (folder / MANIFEST).is_file() else None
    examples = open_examples(recipe, held_out(recipe), known)
    with Run.discarded_on_error(folder):
        run = Run.start(folder, recipe, overwrite=overwrite)
        lower = ("distill.batch", "data.size", "student.scale")
        with explain_out_of_memory(device.type, recipe.distill.batch, recipe.data.size, lower):
            run_stages(run, recipe, examples, device)
    wrong = no_gain(run.student_figures())
    if wrong:
        say(f"warning: {wrong}; train longer or widen it, export keeps it with --force only")
    distributed.finish()
    return run


def held_out(recipe: Recipe) -> int:
    """How many training pictures only a search sees."""
    searches = any(part.name == "search" for part in METHODS[recipe.method])
    return recipe.search.images if searches else 0


def run_stages(run: Run, recipe: Recipe, examples: Examples, device: torch.device) -> None:
    """The stages of a run that has begun."""
    with run.locked():
        announce(examples)
        handed: Any = Order(run, recipe, examples, device)
        for part in METHODS[recipe.method]:
            handed = part.work(handed)
            if isinstance(handed, Shaped):
                say_costs(handed)


def shape_of(order: Order) -> Shaped:
    """The student's shape, from the stages that ask nothing of the teacher but its weights."""
    handed: Any = order
    for part in METHODS[order.recipe.method]:
        handed = part.work(handed)
        if isinstance(handed, Shaped):
            return handed
    raise AssertionError(f"method {order.recipe.method} shapes no student")


def say_costs(shaped: Shaped) -> None:
    """Prints what the student will cost beside its teacher, before any work is done."""
    config = shaped.order.config
    example = torch.zeros(input_shape(config.input, shaped.order.recipe.data.size))
    teacher = measure(build(config.family, config.spec), example, cross_check=False)
    student = measure(build(config.family, shaped.spec), example, cross_check=False)
    say(
        f"teacher {format_macs(teacher.macs)}MACs, {teacher.parameters:,} parameters -> "
        f"student {format_macs(student.macs)}MACs, {student.parameters:,} parameters "
        f"({teacher.macs / student.macs:.1f}x fewer MACs)"
    )
