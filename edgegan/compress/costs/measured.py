"""Milliseconds and arm64 instructions of a network's int8 artefact by widths, from tables measured once on the device.

A few random sub-networks are exported as they would ship; their layers are measured over a grid of widths, and checked
on sub-networks that the tables have not seen (edgegan.benchmarks.predictor).
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
from pathlib import Path

import torch

from edgegan.artefact import exported_models
from edgegan.benchmarks.devices.book import open_device
from edgegan.benchmarks.predictor.build import Sample, build_predictor
from edgegan.benchmarks.predictor.tables import Predictor
from edgegan.channels.slicing import extract
from edgegan.compress.job import Job
from edgegan.compress.search.supernet import Shared
from edgegan.compress.search.widths import Genome
from edgegan.compress.student import Made, write_student
from edgegan.console import progress, say
from edgegan.data.images import to_pixels, write_image
from edgegan.distributed import is_main
from edgegan.errors import EdgeGANError
from edgegan.export.exporter import export
from edgegan.export.request import ExportOptions
from edgegan.files import make_folder
from edgegan.ownership.replacement import atomic_folder
from edgegan.package import is_package
from edgegan.recipe.cost import CostFunction, Place, Widths
from edgegan.recipe.kinds import COSTS

SAMPLES, UNSEEN = 8, 3
CALIBRATION_IMAGES = 16
GOLDEN_COUNT = 2


def measured_costs(job: Job, shared: Shared) -> dict[str, CostFunction]:
    """The cost of the sub-networks of `shared` by widths, for each budget that widths alone do not tell."""
    found = {}
    for kind in job.recipe.budget.limits():
        place = COSTS[kind].place
        if place is not None:
            found[kind] = by_widths(device_predictor(job, shared, kind, place), shared)
    return found


def by_widths(predictor: Predictor, shared: Shared) -> CostFunction:
    """What the tables say of a plan of widths; each genome is looked up once."""

    @functools.cache
    def of_genome(genome: Genome) -> float:
        return predictor.predict(predictor.layers_from(genome))

    def cost(widths: Widths) -> float:
        return of_genome(shared.space.genome(widths))

    return cost


def device_predictor(job: Job, shared: Shared, kind: str, place: Place) -> Predictor:
    """The table the budget names, or one built for this network and kept in the run."""
    where = job.recipe.budget.place(kind)
    if not place.emulated and Path(where).is_file():
        return Predictor.load(Path(where)).check()
    name = f"predictor_{kind}"
    inputs = job.hash(shared.space.choices, where, SAMPLES, UNSEEN)
    path = job.run.stage_folder("predictor") / f"{name}.json"
    with job.run.stage(name, inputs) as stage:
        if stage.todo and is_main():
            drawn = draw_samples(job, shared, make_folder(path.parent / "samples"))
            predictor = measure_layers(drawn, where, place)
            predictor.check().save(path)
            stage.wrote(path)
    return Predictor.load(path).check()


def measure_layers(drawn: list[Sample], where: str, place: Place) -> Predictor:
    """Tables of the samples' layers, made on the device of a budget."""
    device = open_device("arm64", emulate=where) if place.emulated else open_device(where)
    say(f"measuring the layers of {len(drawn)} sub-networks on {device.name}")
    try:
        return build_predictor(
            drawn[:SAMPLES],
            device,
            unseen=drawn[SAMPLES:],
        )
    finally:
        device.close()


def draw_samples(job: Job, shared: Shared, folder: Path) -> list[Sample]:
    """Exports random sub-networks to int8 TFLite; what is there already is kept."""
    chance = random.Random(f"predictor:{job.recipe.seed}")
    genomes = [shared.space.narrowest(), shared.space.widest()]
    while len(genomes) < SAMPLES + UNSEEN:
        genome = shared.space.draw(chance)
        if genome not in genomes:
            genomes.append(genome)
    calibration = write_calibration(job, folder)
    found = []
    with progress("exporting sub-networks", len(genomes)) as bar:
        for done, genome in enumerate(genomes, 1):
            found.append(Sample(export_sample(job, shared, genome, folder, calibration), genome))
            bar.step(done)
    return found


def write_calibration(job: Job, folder: Path) -> Path | None:
    """A few training crops as pictures, where the generator takes pictures."""
    if job.cache.codec.spec.kind != "image":
        return None
    target = make_folder(folder / "calibration")
    x = job.cache.load(job.cache.inputs[:CALIBRATION_IMAGES], torch.device("cpu"))
    for index, image in enumerate(x.numpy()):
        write_image(target / f"{index}.png", to_pixels(image))
    return target


def export_sample(
    job: Job, shared: Shared, genome: Genome, folder: Path, calibration: Path | None
) -> Path:
    """The int8 artefact of a sub-network with the present weights."""
    base = folder / shared.space.describe(genome)
    package = base / "package"
    if not is_package(package):
        make_folder(base)
        plan = shared.space.plan(genome)
        module = extract(shared.module, shared.graph, plan).eval()
        made = Made(job.spec_of(shared.graph, plan), module)
        x = job.cache.load(job.cache.inputs[:GOLDEN_COUNT], torch.device("cpu"))
        with atomic_folder(package, "package", overwrite=True) as temporary:
            write_student(job, made, temporary, "sample", x, ["a sub-network, to be measured"])
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # lines for each of eleven exports
            options = ExportOptions(calibration=calibration)
            exported = export(package, base / "export", ["tflite"], ["int8"], options)
    except EdgeGANError as error:
        raise EdgeGANError(
            f"a sub-network of widths {shared.space.describe(genome)} could not be exported: {error}"
        ) from error
    ((path, _),) = exported_models(exported)
    return path
