"""Milliseconds and arm64 instructions of a sub-network's int8 artefact, from tables measured once on the device.

A few random sub-networks are exported as they would ship; their layers are measured over a grid of widths, and checked
on sub-networks that the tables have not seen (edgegan.benchmarks.predictor).
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgegan.benchmarks.devices.book import open_device
from edgegan.benchmarks.predictor.build import Sample, build_predictor
from edgegan.benchmarks.predictor.tables import Predictor
from edgegan.channels.slicing import extract
from edgegan.compress.job import Job
from edgegan.compress.search.supernet import Shared
from edgegan.compress.search.widths import Genome
from edgegan.console import progress, say
from edgegan.data.images import to_pixels, write_image
from edgegan.distributed import is_main
from edgegan.errors import EdgeGANError
from edgegan.files import atomic_folder, make_folder
from edgegan.models.packaging import card
from edgegan.models.zoo import count_parameters, make_golden
from edgegan.package import CONFIG_FILE, is_package, write_package
from edgegan.recipe.schema import Budget

SAMPLES, UNSEEN = 8, 3
CALIBRATION_IMAGES = 16


def predicted_costs(job: Job, shared: Shared) -> dict[str, Callable[[Genome], float]]:
    """A function of the genome for each of the budgets ms and instructions that is set."""
    budget = job.recipe.budget
    found: dict[str, Callable[[Genome], float]] = {}
    if budget.ms is not None:
        found["ms"] = pricer(device_predictor(job, shared, "ms", budget))
    if budget.instructions is not None:
        found["instructions"] = pricer(device_predictor(job, shared, "instructions", budget))
    return found


def pricer(predictor: Predictor) -> Callable[[Genome], float]:
    """The predicted cost of a genome."""
    return lambda genome: predictor.predict(predictor.layers_from(genome))


def device_predictor(job: Job, shared: Shared, unit: str, budget: Budget) -> Predictor:
    """The table the budget names, or one built for this search and kept in the run."""
    if unit == "ms" and Path(budget.device).is_file():
        return Predictor.load(Path(budget.device)).check()
    name = f"predictor_{unit}"
    place = budget.device if unit == "ms" else budget.core
    inputs = job.hash(shared.space.choices, place, SAMPLES, UNSEEN)
    path = job.run.stage_folder("predictor") / f"{name}.json"
    if not job.run.is_done(name, inputs):
        import time

        started = time.monotonic()
        if is_main():
            drawn = draw_samples(job, shared, make_folder(path.parent / "samples"))
            device = open_device(place) if unit == "ms" else open_device("arm64", emulate=place)
            say(f"measuring the layers of {len(drawn)} sub-networks on {device.name}")
            try:
                predictor = build_predictor(
                    drawn[:SAMPLES],
                    device,  # type: ignore[arg-type]
                    unseen=drawn[SAMPLES:],
                )
            finally:
                device.close()
            predictor.check().save(path)
        job.run.finish(name, inputs, [path], started)
    return Predictor.load(path).check()


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
    base = folder / "_".join(map(str, genome))
    artefact = base / "export" / "student_int8.tflite"
    if artefact.is_file():
        return artefact
    if not is_package(base / "package"):
        write_sample(job, shared, genome, base / "package")
    command = [sys.executable, "-m", "edgegan", "export", str(base / "package")]
    command += ["-o", str(base / "export"), "--target", "tflite", "--precision", "int8"]
    command += ["--overwrite"]
    command += ["--calibration", str(calibration)] if calibration else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeGANError(
            f"a sub-network of widths {shared.space.describe(genome)} could not be exported: {done.stderr.strip()}"
        )
    return artefact


def write_sample(job: Job, shared: Shared, genome: Genome, folder: Path) -> None:
    """A package of a sub-network."""
    plan = shared.space.plan(genome)
    module = extract(shared.module, shared.graph, plan).eval()
    parameters = count_parameters(module)
    x = job.cache.load(job.cache.inputs[:2], torch.device("cpu"))
    config: dict[str, Any] = {
        "family": job.family,
        "spec": job.spec_of(shared.graph, plan).model_dump(mode="json"),
        "name": "sample",
        "role": "student",
        "size": job.recipe.data.size,
        "input": job.cache.codec.spec,
        "output": job.output,
        "parameters": parameters,
        "source": {"changes": "sub-network, to measure"},
        "licence": "unstated",
    }
    make_folder(folder.parent)
    with atomic_folder(folder, CONFIG_FILE, overwrite=True) as temporary:
        write_package(
            temporary,
            config,
            module.state_dict(),
            make_golden(module, x),
            card("sample", job.family, parameters, "unstated", ["measured for a search"]),
        )
