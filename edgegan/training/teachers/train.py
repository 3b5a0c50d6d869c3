"""`edgegan train`: every stage in order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegan import distributed
from edgegan.channels.program import evaluating
from edgegan.console import format_duration, say
from edgegan.data.batches import middle_batch
from edgegan.data.checking import check_dataset, keep_findings, listing_hash
from edgegan.data.datasets import Dataset, open_dataset
from edgegan.errors import ConfigError
from edgegan.files import sha256_file, sha256_json
from edgegan.metrics.complexity import format_macs, measure
from edgegan.metrics.perceptual import open_perceptual
from edgegan.metrics.published_losses import usual_loss
from edgegan.models.judges import JudgeSpec, build_judge
from edgegan.models.packaging import store
from edgegan.models.spec import Spec
from edgegan.models.zoo import build, check_size, describe_io
from edgegan.ownership.replacement import atomic_folder
from edgegan.package import NoiseIO, input_shape, package_files
from edgegan.recipe.schema import Recipe
from edgegan.recipe.train_section import Train
from edgegan.run import MANIFEST, Run
from edgegan.training.loop import Training
from edgegan.training.memory import explain_out_of_memory
from edgegan.training.speed import choose_device, choose_speed
from edgegan.training.teachers.cyclegan import Cyclegan
from edgegan.training.teachers.feed import Feed, teacher_schedule
from edgegan.training.teachers.gaugan import gaugan_step
from edgegan.training.teachers.paired import Paired
from edgegan.training.teachers.parts import (
    add_spectral,
    generator_io,
    generator_spec,
    initialise_as_published,
    judge_spec,
    plain_copy,
)
from edgegan.training.teachers.pix2pix import pix2pix_step
from edgegan.training.teachers.sngan import Sngan
from edgegan.training.teachers.teach import TeacherMethod, teach

STAGE = "train"
NOT_IN_RESULT = {"log_every", "sample_every", "checkpoint_seconds"}


def train(recipe: Recipe, folder: Path, *, overwrite: bool = False) -> Run:
    """Trains the recipe's teacher; `folder` becomes a run, or the run in it goes on.

    `folder`/teacher is its package, with its discriminator; cyclegan also writes `folder`/teacher_BtoA.
    """
    if recipe.train.method is None:
        raise ConfigError(
            f"recipe {recipe.name} trains no teacher: train.method is not set; shipped recipes that do: "
            "pix2pix, cyclegan, gaugan, sngan"
        )
    device = distributed.start(choose_device(recipe.device))
    family, spec = generator_spec(recipe.train, recipe.data)
    check_size(family, recipe.data.size, spec)
    note = folder / "stages" / "data" / "checked.json"
    resuming = (folder / MANIFEST).is_file() and not overwrite
    dataset = check_dataset(open_dataset(recipe.data, recipe.seed), note if resuming else None)
    run = Run.start(folder, recipe, overwrite=overwrite)
    with run.locked():
        if distributed.is_main():
            keep_findings(dataset, note)
        announce(recipe, dataset, family, spec)
        lower = ("train.batch", "data.size", "train.ngf")
        with explain_out_of_memory(device.type, recipe.train.batch, recipe.data.size, lower):
            train_teacher(run, recipe, dataset, family, spec, device)
    distributed.finish()
    return run


def announce(recipe: Recipe, dataset: Dataset, family: str, spec: Any) -> None:
    """Says what the run is about to use, and what the teacher costs."""
    takes = generator_io(recipe.data) or describe_io(spec)[0]
    with torch.random.fork_rng():
        cost = measure(build(family, spec), torch.zeros(input_shape(takes, recipe.data.size)))
    height, width = recipe.data.size
    say(
        f"{recipe.train.method} on {len(dataset.train)} training and {len(dataset.validation)} validation "
        f"examples, {height}x{width}; generator {family}: {format_macs(cost.macs)}MACs, "
        f"{cost.parameters:,} parameters"
    )


def train_teacher(
    run: Run, recipe: Recipe, dataset: Dataset, family: str, spec: Any, device: torch.device
) -> None:
    """Trains and writes the package or packages."""
    settings = recipe.train
    inputs = sha256_json(
        {
            "train": settings.model_dump(mode="json", exclude=NOT_IN_RESULT | {"perceptual"}),
            "perceptual": settings.perceptual and sha256_file(settings.perceptual),
            "files": listing_hash(dataset),
            "size": recipe.data.size,
            "resize": recipe.data.resize,
            "flip": recipe.data.flip,
            "seed": recipe.seed,
            "processes": distributed.world_size(),
        }
    )
    with run.stage(STAGE, inputs) as stage:
        if not stage.todo:
            say("teacher is up to date")
            return
        started = time.monotonic()
        torch.manual_seed(recipe.seed)
        judge = judge_spec(settings, spec)
        method = make_method(settings, family, spec, judge, device, recipe.seed)
        feed = make_feed(dataset, settings, spec, recipe.seed, device)
        training = Training(
            folder=stage.folder,
            metrics=run.folder / "metrics.jsonl",
            inputs=inputs,
            device=device,
            schedule=teacher_schedule(settings, len(dataset.train), feed.world),
            seed=recipe.seed,
            log_every=settings.log_every,
            validate_every=settings.sample_every,
            checkpoint_seconds=settings.checkpoint_seconds,
            section="train",
        )
        with choose_speed(settings, device).attached(*method.parts.modules.values()):
            teach(method, settings.method or "", feed, training, run.folder / "samples")
        spent, steps = time.monotonic() - started, training.schedule.steps
        if distributed.is_main():
            stage.wrote(*write_teachers(run, recipe, method, family, spec, judge, steps))
            stage.note(steps=steps, **measure_teacher(method, feed))
    say(f"trained {steps} steps in {format_duration(spent)}")


def make_feed(
    dataset: Dataset, settings: Train, spec: Spec, seed: int, device: torch.device
) -> Feed:
    """Where the batches of a generator of this spec come from."""
    channels = (spec.in_channels, spec.out_channels)
    latent = spec.takes.dimension if isinstance(spec.takes, NoiseIO) else 1
    rank, world = distributed.rank(), distributed.world_size()
    return Feed(dataset, settings, channels, latent, seed, device, rank, world)


def make_method(
    settings: Train,
    family: str,
    spec: Any,
    judge: JudgeSpec,
    device: torch.device,
    seed: int,
) -> TeacherMethod:
    """The networks with the weights that published training starts from, and their optimisers."""
    name = settings.method or ""

    def fresh(module: nn.Module) -> nn.Module:
        """A network ready to be trained."""
        initialise_as_published(module, name)
        return module.to(device)

    generator, critic = fresh(build(family, spec)), fresh(build_judge(judge))
    if settings.spectral:
        add_spectral(generator)
    if name == "cyclegan":
        back = spec.model_copy(
            update={"in_channels": spec.out_channels, "out_channels": spec.in_channels}
        )
        back_judge = judge.model_copy(update={"in_channels": spec.in_channels})
        to_a, judge_a = fresh(build(family, back)), fresh(build_judge(back_judge))
        return Cyclegan(settings, generator, to_a, (back_judge, judge_a), (judge, critic), seed)
    if name == "sngan":
        rank, world = distributed.rank(), distributed.world_size()
        return Sngan(settings, generator, (judge, critic), spec.latent, seed, rank, world)
    perceptual = None
    if settings.perceptual_weight > 0 and settings.perceptual is not None:
        perceptual = usual_loss(open_perceptual(settings.perceptual, device=device))
    step_on = gaugan_step if name == "gaugan" else pix2pix_step
    return Paired(settings, generator, (judge, critic), perceptual, step_on)


def write_teachers(
    run: Run,
    recipe: Recipe,
    method: TeacherMethod,
    family: str,
    spec: Any,
    judge: JudgeSpec,
    steps: int,
) -> list[Path]:
    """The teacher's package with its discriminator; of cyclegan one for each direction. Returns their files."""
    modules = method.parts.modules
    pairs = {"teacher": ("generator", "discriminator")}
    if isinstance(method, Cyclegan):
        pairs = {"teacher": ("to_b", "judge_b"), "teacher_BtoA": ("to_a", "judge_a")}
    files: list[Path] = []
    for title, (generator, critic) in pairs.items():
        folder = run.folder / title
        own = spec
        if generator == "to_a":
            own = spec.model_copy(
                update={"in_channels": spec.out_channels, "out_channels": spec.in_channels}
            )
        judge_state = {name: value.cpu() for name, value in modules[critic].state_dict().items()}
        name = recipe.name + title.removeprefix("teacher")
        source = {
            "recipe": recipe.name,
            "method": recipe.train.method,
            "steps": steps,
            "changes": [f"trained from scratch by {recipe.train.method}, {steps} steps"],
        }
        if recipe.data.class_names:
            source["class_names"] = list(recipe.data.class_names)
        takes = generator_io(recipe.data)
        about = {"name": name, "source": source, "licence": recipe.train.licence} | (
            {"input": takes} if takes else {}
        )
        with atomic_folder(folder, "package", overwrite=True) as temporary:
            store(
                temporary,
                family,
                own,
                plain_copy(modules[generator], family, own),
                recipe.data.size,
                about,
                (judge.model_copy(update={"in_channels": own.out_channels}), judge_state)
                if generator == "to_a"
                else (judge, judge_state),
            )
        files += package_files(folder)
    return files


def measure_teacher(method: TeacherMethod, feed: Feed) -> dict[str, float]:
    """Mean of the method's validation figures over all validation examples."""
    split = feed.dataset.validation
    totals: dict[str, float] = {}
    with evaluating(*method.parts.modules.values()):
        for index in range(len(split)):
            batch = middle_batch(
                split, range(index, index + 1), channels=feed.channels, noise=feed.latent
            )
            for name, value in method.measure(batch.to(feed.device)).items():
                totals[name] = totals.get(name, 0.0) + value / len(split)
    return {"validation_images": len(split), **totals}
