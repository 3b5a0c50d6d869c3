"""The teacher as a package, and its outputs and features on the run's examples, kept on disk."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from torch import nn

from edgegan.compress.teacher.examples import Examples, check_kind
from edgegan.console import progress
from edgegan.data.arrays import open_array
from edgegan.data.stored import Codec, store_picture
from edgegan.distributed import is_main
from edgegan.errors import ConfigError, OutputError
from edgegan.files import read_json, sha256_file, sha256_json, write_json
from edgegan.models.packaging import import_to_package
from edgegan.models.recording import hooked
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import check_package_size, load_generator
from edgegan.ownership.journal import claim
from edgegan.package import (
    PackageConfig,
    input_shape,
    is_package,
    package_files,
    package_hash,
    read_config,
)
from edgegan.recipe.schema import Recipe
from edgegan.run import Run
from edgegan.training.objective import needs_taps

BLOCK = 1 << 20  # bytes of a reservation that are written at once
CHUNK = 8
TEACHER_CACHE = "teacher_cache"


def resolve_teacher(run: Run, recipe: Recipe) -> Path:
    """The teacher's package folder; a checkpoint file is imported into the run first (stage "import")."""
    if recipe.teacher is None:
        raise ConfigError(
            f"recipe {recipe.name}: teacher is not set; give --teacher PACKAGE_OR_CHECKPOINT"
        )
    if is_package(recipe.teacher):
        return recipe.teacher
    if not recipe.teacher.is_file():
        read_config(recipe.teacher)  # says what is missing
    folder = run.folder / "teacher"
    inputs = sha256_json(
        [sha256_file(recipe.teacher), recipe.discriminator and sha256_file(recipe.discriminator)]
    )
    with run.stage("import", inputs) as stage:
        if stage.todo and is_main():
            import_to_package(
                recipe.teacher,
                folder,
                discriminator=recipe.discriminator,
                size=recipe.data.size,
                overwrite=True,
            )
            stage.wrote(*package_files(folder))
    return folder


@dataclass(frozen=True)
class Filler:
    """What filling the cache needs."""

    folder: Path
    inputs: str
    module: nn.Module
    config: PackageConfig
    examples: Examples
    recipe: Recipe
    device: torch.device


def cache_teacher(
    run: Run, recipe: Recipe, teacher: Path, examples: Examples, device: torch.device
) -> Path:
    """Runs the teacher once over all training crops, validation and search pictures; returns the cache's folder.

    Files for each split: *_input.npy as `Codec` keeps it; *_output.npy float16 (N, C, H, W); *_truth.npy uint8, the
    true picture where data are paired; tap0.npy ... float16 (N, C, h, w), averaged over `tap_pool` squares;
    train_real.npy uint8, pictures of an unpaired target domain. A killed stage goes on where it was.
    """
    config = read_config(teacher)
    check_kind(config.input, recipe.data, teacher)
    check_package_size(config, recipe.data.size)
    inputs = cache_inputs(recipe, teacher, examples)
    with run.stage(TEACHER_CACHE, inputs) as stage:
        if stage.stale:
            for note in stage.folder.glob("*.progress.json"):  # it is not what it was
                note.unlink()
        if stage.todo and is_main():
            module = load_generator(teacher)[1]
            filler = Filler(stage.folder, inputs, module, config, examples, recipe, device)
            stage.wrote(*fill_all(filler))
            stage.note(crops=recipe.data.crops, validation=examples.count("validation"))
    return stage.folder


def cache_inputs(recipe: Recipe, teacher: Path, examples: Examples) -> str:
    """The hash of what decides which outputs are kept."""
    return sha256_json(
        {
            "teacher": package_hash(teacher),
            "data": recipe.data.model_dump(mode="json", exclude={"train", "validation", "flip"}),
            "seed": recipe.seed,
            "tap_pool": recipe.distill.tap_pool if needs_taps(recipe.distill) else None,
            "examples": examples.fingerprint(),
            "held_out": examples.held_out,
            "search_taps": recipe.search.fitness == "feature",
        }
    )


def fill_all(filler: Filler) -> list[Path]:
    """Writes every split, and cache.json with what they are."""
    recipe, config, examples, folder = filler.recipe, filler.config, filler.examples, filler.folder
    names = []
    if needs_taps(recipe.distill):
        names = tap_modules(filler.module, torch.zeros(input_shape(config.input, recipe.data.size)))
    filler.module.to(filler.device)
    paths = fill(filler, "train", names)
    paths += fill(filler, "validation", [])
    if examples.held_out:
        paths += fill(filler, "search", names if recipe.search.fitness == "feature" else [])
    if examples.has_reals and recipe.distill.gan_weight > 0:
        paths.append(fill_reals(filler))
    about = {
        "input": config.input.model_dump(mode="json"),
        "taps": names,
        "tap_mean_squares": [mean_square(folder / tap_file("train", i)) for i in range(len(names))],
        "validation": examples.names("validation"),
    }
    write_json(folder / "cache.json", about)
    return [*paths, folder / "cache.json"]


def mean_square(path: Path) -> float:
    """The mean square of a tap's first features."""
    return float(np.mean(np.square(np.load(path, mmap_mode="r")[:32].astype(np.float32))))


def tap_file(split: str, index: int) -> str:
    """The name of a tap's array."""
    return f"tap{index}.npy" if split == "train" else f"{split}_tap{index}.npy"


def fill(filler: Filler, split: str, tap_names: list[str]) -> list[Path]:
    """Writes one split's arrays chunk by chunk, noting after each how far it got."""
    crops = filler.examples.crops(split, filler.recipe.seed)
    note = filler.folder / f"{split}.progress.json"
    paths = split_files(filler, split, len(tap_names))
    done = rows_done(filler, note, paths, len(crops))
    for path in paths if done else ():
        claim(path)
    arrays = [open_memmap(path, mode="r+") for path in paths] if done else []
    with (
        hooked(filler.module, tap_names) as recorded,
        progress(f"teacher on {split} inputs", len(crops), done) as bar,
        torch.inference_mode(),
    ):
        for start in range(done, len(crops), CHUNK):
            end = min(start + CHUNK, len(crops))
            for position in range(start, end):
                row = teacher_row(filler, split, crops[position])
                row += [
                    pooled(recorded[name], filler.recipe.distill.tap_pool) for name in tap_names
                ]
                if not arrays:
                    arrays = [
                        new_array(path, value.dtype, (len(crops), *value.shape))
                        for path, value in zip(paths, row, strict=True)
                    ]
                for array, value in zip(arrays, row, strict=True):
                    array[position] = value
                bar.step(position + 1)
            for array in arrays:
                array.flush()
            write_json(note, {"inputs": filler.inputs, "done": end})
    return paths


def split_files(filler: Filler, split: str, taps: int) -> list[Path]:
    """The arrays of a split, in the order in which a row has them."""
    names = ["input", "output"]
    names += ["truth"] if filler.recipe.data.kind in ("paired", "labels") else []
    paths = [filler.folder / f"{split}_{name}.npy" for name in names]
    return [*paths, *(filler.folder / tap_file(split, index) for index in range(taps))]


def rows_done(filler: Filler, note: Path, paths: list[Path], count: int) -> int:
    """How many of `count` rows an earlier, killed filling of the same inputs left in these arrays."""
    if not note.is_file() or not all(path.is_file() for path in paths):
        return 0
    state = read_json(note)
    known = isinstance(state, dict) and state.get("inputs") == filler.inputs
    if not known or not isinstance(state.get("done"), int):
        return 0
    if any(len(open_array(path)) != count for path in paths):
        return 0  # of another number of crops: filled anew
    return min(max(state["done"], 0), count)


def teacher_row(filler: Filler, split: str, crop: Any) -> list[np.ndarray]:
    """An input as it is kept, what the teacher makes of it, and the true picture where there is one."""
    config = filler.config
    x, truth = filler.examples.read(
        split, crop, config.input, config.output.channels, filler.recipe.seed
    )
    y = filler.module(torch.from_numpy(x)[None].to(filler.device))
    row = [Codec(config.input).store(x), y[0].half().cpu().numpy()]
    return row if truth is None else [*row, store_picture(truth)]


def pooled(features: torch.Tensor, side: int) -> np.ndarray:
    """Features (1, C, H, W) averaged over squares of a side, (C, H / side, W / side) in float16."""
    return F.avg_pool2d(features, side)[0].half().cpu().numpy()


def new_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap:
    """An array on disk with all its room reserved: writing to a mapped file on a full disk would kill the process.
    It is a new file: runs that share an old one by hard link keep theirs."""
    claim(path)
    path.unlink(missing_ok=True)
    array = open_memmap(path, "w+", dtype, shape)
    try:
        with path.open("r+b") as file:
            reserve(file.fileno(), path.stat().st_size)
    except OSError as error:
        del array
        path.unlink()
        raise OutputError(
            f"cannot write {path} ({math.prod(shape) * dtype.itemsize / 1e6:.0f} MB): {error.strerror}; "
            "free space, lower data.crops, or choose another folder with -o"
        ) from error
    return array


def reserve(descriptor: int, size: int) -> None:
    """Takes the room of a file's first `size` bytes, whose content stays; raises OSError when the disk has less."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    os.lseek(descriptor, 0, os.SEEK_SET)  # Windows and macOS: what is written is there
    while size > 0 and (block := os.read(descriptor, min(size, BLOCK))):
        os.lseek(descriptor, -len(block), os.SEEK_CUR)
        size -= os.write(descriptor, block)


def fill_reals(filler: Filler) -> Path:
    """As many pictures of the target domain as there are training crops."""
    path = filler.folder / "train_real.npy"
    channels, count = filler.config.output.channels, filler.recipe.data.crops
    shape = (count, channels, *filler.recipe.data.size)
    array = new_array(path, np.dtype(np.uint8), shape)
    with progress("pictures of the target domain", count) as bar:
        for position in range(count):
            values = filler.examples.read_real(position, channels, filler.recipe.seed)
            array[position] = store_picture(values)
            bar.step(position + 1)
    array.flush()
    return path
