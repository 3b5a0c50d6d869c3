"""`edgegan compare`: slimming beside what one would do without it, with the same teacher, data, steps and budget.

Every training of an arm is a recipe of its own, run by `edgegan compress` in a folder of its own, so that a killed
comparison goes on where it was, and any of them can be looked at, exported and benched like any run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from edgegan.channels.graph import trace_channels
from edgegan.compare.arms import ARMS, recipes_of, same_trainings, starting_from
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.fidelity import measure_quality
from edgegan.compress.pipeline import compress, held_out
from edgegan.compress.slimming.gan_slimming import int8_quality
from edgegan.compress.teacher.cache import Cache
from edgegan.compress.teacher.outputs import TEACHER_CACHE
from edgegan.console import say
from edgegan.errors import ConfigError, TrainingError, nearest
from edgegan.files import read_json, sha256_file, sha256_json, write_json
from edgegan.metrics.complexity import measure
from edgegan.models.packaging import import_to_package
from edgegan.models.zoo import load_generator
from edgegan.package import input_shape, is_package
from edgegan.recipe.kinds import COSTS, is_counted
from edgegan.recipe.loading import parse_recipe
from edgegan.recipe.schema import Recipe
from edgegan.run import Run
from edgegan.training.objective import needs_taps

Measure = Callable[[Path], dict[str, float]]
BEFORE_TRAINING = ("import", TEACHER_CACHE)


@dataclass(frozen=True)
class Entry:
    """One trained student. PSNR in dB to the teacher, mean over the validation pictures; bytes of the int8 file;
    `student` is the hash of its weights."""

    method: str
    seed: int
    predicted_bytes: int
    macs: int
    parameters: int
    psnr_db: float
    ssim: float
    int8_psnr_db: float
    int8_ssim: float
    duration_s: float
    student: str = ""
    file_bytes: float | None = None
    file_psnr_db: float | None = None


def compare(
    recipe: Recipe,
    folder: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    measure_file: Measure | None = None,
) -> list[Entry]:
    """Trains every method with every seed and returns what came out, in that order.

    `measure_file` exports a finished run and returns `file_bytes` and `file_psnr_db`. Results are kept in `folder`
    entry by entry. Raises ConfigError for a recipe without a budget, for an unknown method, and for two methods whose
    trainings are the same here; TrainingError where two made the same student.
    """
    check(recipe, methods)
    recipe = with_package(recipe, folder)
    twice = same_trainings(recipe, methods, seeds[0])
    if twice:
        a, b = twice[0]
        raise ConfigError(
            f"methods {a} and {b} are the same training with these settings: leave one out of --methods"
        )
    entries: list[Entry] = []
    for seed in seeds:
        shared: list[Path] = []
        made: dict[str, str] = {}
        for name in methods:
            entry = one_entry(recipe, folder, name, seed, shared, measure_file)
            if entry.student in made:
                raise TrainingError(
                    f"{name} and {made[entry.student]} made the same student with seed {seed}: they do not differ in "
                    "so few steps; raise distill.steps, or leave one out of --methods"
                )
            made[entry.student] = name
            entries.append(entry)
    return entries


def check(recipe: Recipe, methods: Sequence[str]) -> None:
    """Raises ConfigError for an unknown method and for a recipe that has nothing to compare at."""
    for name in methods:
        if name not in ARMS:
            raise ConfigError(
                f"no method '{name}'{nearest(name, ARMS)}; methods: {', '.join(ARMS)}"
            )
    aim = recipe.budget.aim
    if recipe.method != "gan-slimming" or aim is None or not is_counted(aim[0]):
        counted = " or ".join(filter(is_counted, COSTS))
        raise ConfigError(
            f"recipe {recipe.name} has no budget of {counted} to compare at; use gan_slimming, or set method and "
            "budget.bytes"
        )


def one_entry(
    recipe: Recipe,
    folder: Path,
    name: str,
    seed: int,
    shared: list[Path],
    measure_file: Measure | None,
) -> Entry:
    """One arm with one seed, trained where it is not known yet. `shared` lists the seed's runs so far."""
    place = folder / "runs" / f"{name}_seed{seed}"
    note = place.with_suffix(".json")
    stages = recipes_of(recipe, name, seed)
    places = [place.with_name(f"{place.name}_{stage}") for stage, _ in stages[:-1]] + [place]
    key = sha256_json(
        [*(own.model_dump(mode="json") for _, own in stages), measure_file is not None]
    )
    known = read_json(note) if note.is_file() else {}
    if known.get("inputs") == key:
        shared.append(place)
        return Entry(**known["entry"])
    runs = []
    for index, (stage, own) in enumerate(stages):
        say(f"{name}, seed {seed}, {stage}: {ARMS[name].title}")
        own = starting_from(own, places[index - 1]) if index else own
        share_cache(own, places[index], shared)
        runs.append(compress(own, places[index]))
        shared.append(places[index])
    entry = evaluate(runs, name, seed)
    if measure_file is not None:
        entry = Entry(**{**asdict(entry), **measure_file(place)})
    write_json(note, {"inputs": key, "entry": asdict(entry)})
    return entry


def with_package(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with its teacher as a package: a checkpoint is imported once for all methods."""
    if recipe.teacher is None or is_package(recipe.teacher):
        return recipe
    package = folder / "teacher"
    if not is_package(package):
        import_to_package(
            recipe.teacher, package, discriminator=recipe.discriminator, size=recipe.data.size
        )
    return recipe.model_copy(update={"teacher": package.resolve(), "discriminator": None})


def share_cache(recipe: Recipe, folder: Path, others: Sequence[Path]) -> None:
    """Gives a run the teacher outputs of another of the same seed, by hard links; its ledger checks their hashes."""
    if (folder / "run.json").is_file():
        return
    for other in others:
        source = Run.open(other)
        if cached_of(parse_recipe(source.manifest["recipe"], str(other))) != cached_of(recipe):
            continue
        Run.start(folder, recipe, overwrite=False).take_over(source, [TEACHER_CACHE])
        return


def cached_of(recipe: Recipe) -> list[Any]:
    """What of a recipe decides which teacher outputs are kept; everything else is the same in a comparison."""
    distil = recipe.distill
    taps = needs_taps(distil)
    return [taps and distil.tap_pool, taps, distil.gan_weight > 0, held_out(recipe), recipe.seed]


def evaluate(runs: Sequence[Run], method: str, seed: int) -> Entry:
    """The student of the last of an arm's runs, measured the same way whatever made it."""
    run = runs[-1]
    config, module = load_generator(run.folder / "student")
    cache = Cache(run.folder / "stages" / TEACHER_CACHE)
    example = torch.zeros(input_shape(config.input, config.size))
    quality = measure_quality(module, cache)
    int8 = int8_quality(module, cache)
    cost = measure(module, example, cross_check=False)
    trained = [
        each
        for own in runs
        for name, each in own.manifest["stages"].items()
        if name not in BEFORE_TRAINING
    ]
    table = tabulate(module, example, trace_channels(module, example))
    return Entry(
        method=method,
        seed=seed,
        predicted_bytes=round(table.bytes(table.full)),
        macs=cost.macs,
        parameters=cost.parameters,
        psnr_db=quality["psnr_to_teacher_db"],
        ssim=quality["ssim_to_teacher"],
        int8_psnr_db=int8["int8_psnr_to_teacher_db"],
        int8_ssim=int8["int8_ssim_to_teacher"],
        duration_s=sum(each["duration_s"] for each in trained),
        student=sha256_file(run.folder / "student" / "model.safetensors"),
    )


def summary(entries: Sequence[Entry]) -> dict[str, dict[str, Mapping[str, float]]]:
    """For each method the mean, least and greatest of every figure over its seeds."""
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for name in dict.fromkeys(entry.method for entry in entries):
        rows = [asdict(entry) for entry in entries if entry.method == name]
        figures = [key for key in rows[0] if key not in ("method", "seed", "student")]
        found[name] = {}
        for key in figures:
            values = [row[key] for row in rows if row[key] is not None]
            if values:
                found[name][key] = {
                    "mean": sum(values) / len(values),
                    "least": min(values),
                    "greatest": max(values),
                }
    return found
