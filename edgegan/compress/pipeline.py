"""`edgegan compress`: every stage in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from edgegan import distributed
from edgegan.compress.distill import distill
from edgegan.compress.fidelity import measure_quality
from edgegan.compress.inherited import inherit
from edgegan.compress.job import Job, training_settings
from edgegan.compress.search.gan_compression import check_budget, gan_compression
from edgegan.compress.slimming.gan_slimming import choose_start, slim_student
from edgegan.compress.slimming.start import Start
from edgegan.compress.teacher.cache import Cache
from edgegan.compress.teacher.examples import Examples, announce, open_examples
from edgegan.compress.teacher.live import Live
from edgegan.compress.teacher.outputs import cache_teacher, resolve_teacher
from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.files import clear_folder, sha256_file
from edgegan.metrics.complexity import format_macs, measure
from edgegan.models.blocks import initialise
from edgegan.models.judges import load_judge
from edgegan.models.packaging import card
from edgegan.models.zoo import (
    CUSTOM,
    build,
    count_parameters,
    make_golden,
    parse_spec,
)
from edgegan.package import (
    CONFIG_FILE,
    LearnedEnds,
    PackageConfig,
    input_shape,
    package_hash,
    read_config,
    write_package,
)
from edgegan.recipe.schema import Recipe, Student
from edgegan.run import MANIFEST, Run
from edgegan.training.memory import explain_out_of_memory
from edgegan.training.speed import choose_device

GOLDEN_COUNT = 4


def compress(recipe: Recipe, folder: Path, *, overwrite: bool = False) -> Run:
    """Distils the recipe's teacher into a student; `folder` becomes a run, or the run in it goes on."""
    device = distributed.start(choose_device(recipe.device))
    searching = recipe.method == "gan-compression"
    note = folder / "stages" / "checked.json"
    examples = open_examples(
        recipe,
        recipe.search.images if searching else 0,
        note if (folder / MANIFEST).is_file() else None,
    )
    with Run.discarded_on_error(folder):
        run = Run.start(folder, recipe, overwrite=overwrite)
        lower = ("distill.batch", "data.size", "student.scale")
        with explain_out_of_memory(device.type, recipe.distill.batch, recipe.data.size, lower):
            run_stages(run, recipe, examples, device)
    distributed.finish()
    return run


def run_stages(run: Run, recipe: Recipe, examples: Examples, device: torch.device) -> None:
    """The stages of a run that has begun."""
    with run.locked():
        teacher = resolve_teacher(run, recipe)
        config = read_config(teacher)
        if recipe.distill.gan_weight > 0:
            load_judge(teacher)  # says so now when there is none, not after the teacher's outputs
        spec = student_spec(config, recipe.student)
        announce(examples)
        start = None
        if recipe.method == "gan-slimming":
            start = plan_start(config, teacher, recipe)
            spec = start.spec
        say_costs(config, spec, recipe)
        if recipe.method == "gan-compression":
            check_budget(config, spec, recipe)
        cache_folder = cache_teacher(run, recipe, teacher, examples, device)
        job = make_job(run, recipe, teacher, config, spec, cache_folder, examples, device)
        if start is not None:
            slim_teacher(job, start, teacher, config)
            return
        student, spec, inputs, started = train_student(job)
        if run.is_done("distill", inputs):
            say("student is up to date")
        else:
            write_student(job, config, spec, student, inputs, started)


def plan_start(config: PackageConfig, teacher: Path, recipe: Recipe) -> Start:
    """The network that slimming starts from: the student's form of the teacher at the scale that the budget asks for,
    or the teacher's own slice."""
    return choose_start(config, teacher, recipe, lambda scale: spec_at(config, recipe, scale))


def spec_at(config: PackageConfig, recipe: Recipe, scale: float) -> Any:
    """The student's spec at another scale."""
    return student_spec(config, recipe.student.model_copy(update={"scale": scale}))


def slim_teacher(job: Job, start: Start, teacher: Path, config: PackageConfig) -> None:
    """GAN Slimming: one training distils, prunes and quantises the start network; its student is written as any."""
    recipe, started = job.recipe, time.monotonic()
    slimming, budget = (part.model_dump(mode="json") for part in (recipe.slim, recipe.budget))
    inputs = job.hash(training_settings(recipe.distill), slimming, budget)
    if job.run.is_done("distill", inputs):
        say("student is up to date")
        return
    slimmed = slim_student(start, job, teacher, inputs)
    write_student(
        job,
        config,
        slimmed.spec,
        slimmed.module,
        inputs,
        started,
        slimmed.figures,
        slimmed.ranges,
    )


def student_spec(teacher: PackageConfig, student: Student) -> Any:
    """The teacher's spec scaled, then the widths set by hand; raises ConfigError naming a wrong field."""
    spec = parse_spec(teacher.family, teacher.spec)
    scaled = spec.scaled(  # type: ignore[attr-defined]
        student.scale, student.round_to, block=student.block, norm=student.norm
    )
    if teacher.family == CUSTOM:
        say(
            "your own generator keeps its blocks and norms: student.block and student.norm do not apply"
        )
        return scaled.model_copy(update={"widths": {**scaled.widths, **student.widths}})
    unknown = sorted(set(student.widths) - set(type(spec).model_fields))
    if unknown:
        raise ConfigError(
            f"student.widths: family {teacher.family} has no '{unknown[0]}'; "
            f"fields: {', '.join(type(spec).model_fields)}"
        )
    return parse_spec(teacher.family, {**scaled.model_dump(), **student.widths})


def say_costs(config: PackageConfig, spec: Any, recipe: Recipe) -> None:
    """Prints what the student will cost beside its teacher, before any work is done."""
    example = torch.zeros(input_shape(config.input, recipe.data.size))
    teacher = measure(build(config.family, config.spec), example)
    student = measure(build(config.family, spec), example)
    say(
        f"teacher {format_macs(teacher.macs)}MACs, {teacher.parameters:,} parameters -> "
        f"student {format_macs(student.macs)}MACs, {student.parameters:,} parameters "
        f"({teacher.macs / student.macs:.1f}x fewer MACs)"
    )


def make_job(
    run: Run,
    recipe: Recipe,
    teacher: Path,
    config: PackageConfig,
    spec: Any,
    cache_folder: Path,
    examples: Examples,
    device: torch.device,
) -> Job:
    """What the training stages work on, and the hash of all of it."""
    inputs = {
        "teacher": package_hash(teacher),
        "cache": sha256_file(cache_folder / "cache.json"),
        "cache_inputs": run.manifest["stages"]["teacher_cache"]["inputs"],
        "spec": spec.model_dump(mode="json"),
        "flip": recipe.data.flip,
        "seed": recipe.seed,
    }
    cache, settings = Cache(cache_folder), recipe.distill
    if settings.teacher == "loop":
        reals = settings.gan_weight > 0
        cache.live = Live(teacher, examples, cache.taps, settings.tap_pool, device, reals=reals)
    inherited = inherit(teacher, settings, cache.taps, device)
    return Job(run, recipe, config.family, spec, config.output, cache, inherited, device, inputs)


def train_student(job: Job) -> tuple[torch.nn.Module, Any, str, float]:
    """The trained student, its spec, the hash of what it was made from, and when its training began."""
    if job.recipe.method == "gan-compression":
        return gan_compression(job)
    started = time.monotonic()
    settings = job.recipe.distill
    inputs = job.hash(training_settings(settings))
    torch.manual_seed(job.recipe.seed)
    student = build(job.family, job.spec)
    initialise(student)
    if not job.run.is_done("distill", inputs):
        distill(student, job.cache, settings, job.inherited, job.training("distill", inputs))
    return student, job.spec, inputs, started


def write_student(
    job: Job,
    teacher: PackageConfig,
    spec: Any,
    student: torch.nn.Module,
    inputs: str,
    started: float,
    figures: Mapping[str, Any] | None = None,
    ranges: Sequence[LearnedEnds] = (),
) -> None:
    """Writes the student package with golden tensors from validation pictures, and records its quality and figures."""
    files: list[Path] = []
    quality: dict[str, float] = {}
    if distributed.is_main():
        student.cpu().eval()
        quality = measure_quality(student, job.cache)
        files = write_package_of(job, teacher, spec, student, ranges)
    job.run.finish("distill", inputs, files, started, **quality, **(figures or {}))


def write_package_of(
    job: Job,
    teacher: PackageConfig,
    spec: Any,
    student: torch.nn.Module,
    ranges: Sequence[LearnedEnds],
) -> list[Path]:
    """The student's folder, written anew."""
    recipe, cache = job.recipe, job.cache
    folder = job.run.folder / "student"
    clear_folder(folder, CONFIG_FILE)
    folder.mkdir()
    golden = make_golden(student, cache.codec.load(cache.validation_inputs[:GOLDEN_COUNT]))
    parameters = count_parameters(student)
    lines = [
        f"distilled from {teacher.name} ({teacher.parameters:,} parameters) by recipe {recipe.name}"
    ]
    config = {
        "family": teacher.family,
        "spec": spec.model_dump(mode="json"),
        "name": recipe.name,
        "role": "student",
        "size": teacher.size if teacher.input.kind == "noise" else recipe.data.size,
        "input": teacher.input,
        "output": teacher.output,
        "parameters": parameters,
        "source": {"teacher": teacher.name, "recipe": recipe.name},
        "int8_ranges": list(ranges),
        "licence": teacher.licence,
    }
    write_package(
        folder,
        config,
        student.state_dict(),
        golden,
        card(recipe.name, teacher.family, parameters, teacher.licence, lines),
    )
    return sorted(path for path in folder.iterdir() if path.is_file())
