"""`edgegan compress`: every stage in order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgegan.compress.distill import Cache, distill
from edgegan.compress.slimming.noise import cache_noise, takes_noise
from edgegan.compress.slimming.slim import Place
from edgegan.compress.slimming.stage import plan_start, slim_student
from edgegan.compress.slimming.start import Predictors
from edgegan.compress.teacher import (
    Images,
    announce,
    cache_teacher,
    check_images,
    load_input,
    resolve_images,
    resolve_teacher,
)
from edgegan.config import Recipe, Student
from edgegan.console import say
from edgegan.errors import ConfigError, DeviceError
from edgegan.files import clear_folder, sha256_file, sha256_json
from edgegan.metrics.complexity import format_macs, measure
from edgegan.metrics.quality import psnr, ssim
from edgegan.models.blocks import initialise
from edgegan.models.packaging import card
from edgegan.models.zoo import (
    CUSTOM,
    build,
    count_parameters,
    load_discriminator,
    make_golden,
    parse_spec,
)
from edgegan.package import (
    CONFIG_FILE,
    PackageConfig,
    input_shape,
    package_hash,
    read_config,
    write_package,
)
from edgegan.run import Run

GOLDEN_COUNT = 4


def compress(
    recipe: Recipe,
    folder: Path,
    *,
    overwrite: bool = False,
    predictors: Predictors | None = None,
) -> Run:
    """Distils the recipe's teacher into a student; `folder` becomes a run, or the run in it goes on.

    `predictors` give the cost of a layer list by kind ("ms", "instructions") for budgets in those.
    """
    device = choose_device(recipe.device)
    images = None
    if not takes_noise(recipe):
        images = resolve_images(recipe.data, recipe.seed)
        check_images(images)
    run = Run.start(folder, recipe, overwrite=overwrite)
    with run.locked():
        teacher = resolve_teacher(run, recipe)
        config = read_config(teacher)
        if recipe.method == "gan-compression":
            raise ConfigError("method gan-compression is not in this version; use gan-slimming")
        if recipe.method == "gan-slimming":
            slim_teacher(run, recipe, teacher, images, device, predictors or {})
            return run
        spec = student_spec(config, recipe.student)
        say_costs(config, spec, recipe)
        cache = run_teacher(run, recipe, teacher, images, device)
        train_student(run, recipe, teacher, spec, cache, device)
    return run


def run_teacher(
    run: Run, recipe: Recipe, teacher: Path, images: Images | None, device: torch.device
) -> Path:
    """The teacher's outputs on the run's pictures, or on noise when `images` is None; returns their folder."""
    if images is None:
        return cache_noise(run, recipe, teacher, device)
    announce(images, recipe)
    return cache_teacher(run, recipe, teacher, images, device)


def slim_teacher(
    run: Run,
    recipe: Recipe,
    teacher: Path,
    images: Images | None,
    device: torch.device,
    predictors: Predictors,
) -> None:
    """GAN Slimming: one training distils, prunes and quantises a start network; the student is written as ever."""
    config = read_config(teacher)

    def spec_at(scale: float) -> Any:
        return student_spec(config, recipe.student.model_copy(update={"scale": scale}))

    start = plan_start(config, teacher, recipe, spec_at, predictors)
    cache_folder = run_teacher(run, recipe, teacher, images, device)
    inputs = stage_inputs(run, recipe, teacher, start.spec, cache_folder)
    if run.is_done("distill", inputs):
        say("student is up to date")
        return
    started = time.monotonic()
    cache = Cache(cache_folder)
    place = Place(run.stage_folder("distill"), run.folder / "metrics.jsonl", inputs)
    slimmed = slim_student(
        start, config, teacher, recipe, cache, place, device, lambda m: measure_quality(m, cache)
    )
    quality = measure_quality(slimmed.module, cache)
    files = write_student(run, recipe, config, slimmed.spec, slimmed.module, cache)
    run.finish("distill", inputs, files, started, **quality, **slimmed.figures)


def stage_inputs(run: Run, recipe: Recipe, teacher: Path, spec: Any, cache_folder: Path) -> str:
    """The hash of everything that decides what a student training makes."""
    return sha256_json(
        {
            "teacher": package_hash(teacher),
            "cache": sha256_file(cache_folder / "cache.json"),
            "cache_inputs": run.manifest["stages"]["teacher_cache"]["inputs"],
            "spec": spec.model_dump(mode="json"),
            "distill": recipe.distill.model_dump(mode="json", exclude={"checkpoint_seconds"}),
            "slim": recipe.slim.model_dump(mode="json")
            if recipe.method == "gan-slimming"
            else None,
            "flip": recipe.data.flip,
            "seed": recipe.seed,
        }
    )


def choose_device(name: str) -> torch.device:
    """The device of a recipe; raises DeviceError when CUDA is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device 'cuda' is not available; set device: cpu, or install a CUDA build of torch"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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


def train_student(
    run: Run, recipe: Recipe, teacher: Path, spec: Any, cache_folder: Path, device: torch.device
) -> None:
    """Distils and writes the student package with its quality on the validation pictures."""
    settings = recipe.distill
    inputs = stage_inputs(run, recipe, teacher, spec, cache_folder)
    if run.is_done("distill", inputs):
        say("student is up to date")
        return
    started = time.monotonic()
    config = read_config(teacher)
    cache = Cache(cache_folder)
    torch.manual_seed(recipe.seed)
    student = build(config.family, spec)
    initialise(student)
    judge = load_discriminator(teacher) if settings.gan_weight > 0 else None
    distill(
        student,
        cache,
        settings,
        judge,
        flip=recipe.data.flip,
        seed=recipe.seed,
        folder=run.stage_folder("distill"),
        metrics=run.folder / "metrics.jsonl",
        inputs=inputs,
        device=device,
    )
    student.cpu().eval()
    quality = measure_quality(student, cache)
    files = write_student(run, recipe, config, spec, student, cache)
    run.finish("distill", inputs, files, started, **quality)


def measure_quality(student: torch.nn.Module, cache: Cache) -> dict[str, float]:
    """Fidelity to the teacher over all validation pictures, and the same for the untouched input."""
    student_psnr, identity_psnr, similarity = [], [], []
    with torch.inference_mode():
        for stored, teacher in zip(cache.validation_inputs, cache.validation_outputs, strict=True):
            x = load_input(stored[None])
            target = np.asarray(teacher, np.float32)
            y = student(x)
            student_psnr.append(psnr(y[0].numpy(), target))
            similarity.append(ssim(y, torch.from_numpy(target)[None]))
            if x[0].shape == target.shape:
                identity_psnr.append(psnr(x[0].numpy(), target))
    quality = {
        "validation_images": len(student_psnr),
        "psnr_to_teacher_db": float(np.mean(student_psnr)),
        "ssim_to_teacher": float(np.mean(similarity)),
    }
    if identity_psnr:
        quality["identity_psnr_db"] = float(np.mean(identity_psnr))
    return quality


def write_student(
    run: Run,
    recipe: Recipe,
    teacher: PackageConfig,
    spec: Any,
    student: torch.nn.Module,
    cache: Cache,
) -> list[Path]:
    """The student package, with golden tensors from validation pictures."""
    folder = run.folder / "student"
    clear_folder(folder, CONFIG_FILE)
    folder.mkdir()
    golden = make_golden(student, load_input(cache.validation_inputs[:GOLDEN_COUNT]))
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
