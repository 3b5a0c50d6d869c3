"""`edgegan compare`: slimming beside what one would do without it, with the same teacher, data, steps and budget.

Every entry is a recipe of its own, run by `edgegan compress` in a folder of its own, so that a killed comparison goes
on where it was, and any entry can be looked at, exported and benched like any run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgegan.channels.graph import trace_channels
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.fidelity import measure_quality
from edgegan.compress.pipeline import compress, held_out
from edgegan.compress.slimming.gan_slimming import int8_quality
from edgegan.compress.slimming.start import choose_start
from edgegan.compress.teacher.cache import Cache
from edgegan.compress.teacher.outputs import TEACHER_CACHE
from edgegan.console import say
from edgegan.errors import ConfigError, nearest
from edgegan.files import read_json, sha256_json, write_json
from edgegan.metrics.complexity import measure
from edgegan.models.packaging import import_to_package
from edgegan.models.zoo import load_generator
from edgegan.package import input_shape, is_package, read_config
from edgegan.recipe.kinds import COSTS, is_counted
from edgegan.recipe.loading import apply_override, parse_recipe
from edgegan.recipe.schema import Recipe
from edgegan.run import Run
from edgegan.training.objective import needs_taps

FINETUNE_PART = 10  # of the steps, after the cut of the published form
FINETUNE_SHARE = 3  # of the steps, with the sub-network that a search chose
Measure = Callable[[Path], dict[str, float]]


@dataclass(frozen=True)
class Arm:
    """One side of the comparison: its title, and what it changes in the given recipe."""

    title: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


# Where an arm trains on after its cut, its training is shorter by as much; a supernet's step counts as often as it has
# sub-networks.
ARMS = {
    "distillation": Arm("distillation only, uniformly narrow (Chen 2020)", {"method": "distill"}),
    "pruning": Arm(
        "teacher pruned by norm scale, fine-tuned on L1",
        {
            "slim.initial": "teacher",
            "slim.importance": "norm",
            "slim.start": 0,
            "student.scale": 1.0,
            "slim.prune_from": 0.0,
            "slim.prune_until": 0.001,
            "slim.prune_times": 1,
            "slim.quantize": "none",
            "distill.gradient_weight": 0.0,
            "distill.feature_weight": 0.0,
        },
    ),
    "cascade": Arm(
        "distilled and pruned by norm scale, then quantised",
        {"slim.importance": "norm", "slim.quantize": "none"},
    ),
    "gs32": Arm(
        "GAN Slimming as published, fp32 (GS-32)",
        {"slim.form": "paper", "slim.quantize": "none", "slim.rho": 0.01},
    ),
    "gs8": Arm(
        "GAN Slimming as published, int8 (GS-8)",
        {"slim.form": "paper", "slim.quantize": "int8", "slim.rho": 0.01},
    ),
    "slimming": Arm("ours: budget, Taylor scores, runtime's int8"),
    "norm_scores": Arm("ours, scores from norm scales", {"slim.importance": "norm"}),
    "no_int8": Arm("ours, int8 after training only", {"slim.quantize": "none"}),
    "gan_compression": Arm(
        "GAN Compression's student",
        {
            "method": "gan-compression",
            "supernet.pretrain_steps": 0,
            "search.check_networks": 0,
        },
    ),
}
BEFORE_TRAINING = ("import", TEACHER_CACHE)


@dataclass(frozen=True)
class Entry:
    """One trained student. PSNR in dB to the teacher, mean over the validation pictures; bytes of the int8 file."""

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
    entry by entry. Raises ConfigError for a recipe without a budget and for an unknown method.
    """
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
    recipe = with_package(recipe, folder)
    entries = []
    for seed in seeds:
        shared: list[Path] = []
        for name in methods:
            own = recipe_of(recipe, name, seed)
            place = folder / "runs" / f"{name}_seed{seed}"
            note = place.with_suffix(".json")
            key = sha256_json([own.model_dump(mode="json"), measure_file is not None])
            known = read_json(note) if note.is_file() else {}
            if known.get("inputs") == key:
                entries.append(Entry(**known["entry"]))
                shared.append(place)
                continue
            say(f"{name}, seed {seed}: {ARMS[name].title}")
            share_cache(own, place, shared)
            run = compress(own, place)
            shared.append(place)
            entry = evaluate(run, name, seed)
            if measure_file is not None:
                entry = Entry(**{**asdict(entry), **measure_file(place)})
            write_json(note, {"inputs": key, "entry": asdict(entry)})
            entries.append(entry)
    return entries


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


def recipe_of(recipe: Recipe, method: str, seed: int) -> Recipe:
    """The recipe of one method at the given recipe's budget and steps."""
    values = recipe.model_dump(mode="json")
    for key, value in ARMS[method].overrides.items():
        apply_override(values, f"{key}={value}")
    values["seed"], values["name"] = seed, f"{recipe.name}_{method}"
    steps = recipe.distill.steps
    if values["slim"]["form"] == "paper":
        values["slim"]["finetune_steps"] = max(1, steps // FINETUNE_PART)
        values["distill"]["steps"] = max(1, steps - steps // FINETUNE_PART)
    if values["method"] == "distill":
        values["student"]["scale"] = uniform_scale(recipe, 1.0)
        values["budget"] = {}  # the scale that comes closest from above, as slimming starts from
    if values["method"] == "gan-compression":
        values["student"]["scale"] = uniform_scale(recipe, max(1.0, recipe.slim.start))
        values["supernet"]["round_to"] = recipe.slim.round_to
        values["search"]["finetune_steps"] = steps // FINETUNE_SHARE
        shared = steps - steps // FINETUNE_SHARE
        values["supernet"]["steps"] = max(1, shared // recipe.supernet.networks)
    return parse_recipe(values, f"{recipe.name} ({method})")


def uniform_scale(recipe: Recipe, budgets: float) -> float:
    """The scale at which a uniformly narrow student costs this many budgets."""
    teacher = recipe.teacher
    assert teacher is not None
    slimming = recipe.slim.model_copy(update={"start": budgets, "initial": "random"})
    wide = recipe.model_copy(update={"slim": slimming})
    return choose_start(read_config(teacher), teacher, wide).scale


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


def evaluate(run: Run, method: str, seed: int) -> Entry:
    """A finished run's student, measured the same way whatever made it."""
    config, module = load_generator(run.folder / "student")
    cache = Cache(run.folder / "stages" / TEACHER_CACHE)
    example = torch.zeros(input_shape(config.input, config.size))
    quality = measure_quality(module, cache)
    int8 = int8_quality(module, cache)
    cost = measure(module, example, cross_check=False)
    trained = [each for name, each in run.manifest["stages"].items() if name not in BEFORE_TRAINING]
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
    )


def summary(entries: Sequence[Entry]) -> dict[str, dict[str, Mapping[str, float]]]:
    """For each method the mean, least and greatest of every figure over its seeds."""
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for name in dict.fromkeys(entry.method for entry in entries):
        rows = [asdict(entry) for entry in entries if entry.method == name]
        figures = [key for key in rows[0] if key not in ("method", "seed")]
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
