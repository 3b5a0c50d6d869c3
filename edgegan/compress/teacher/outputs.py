"""Stage 1 and 2: the teacher as a package, and its outputs and features on the run's examples, kept on disk."""

from __future__ import annotations

import math
import os
import time
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
from edgegan.data.stored import Codec, store_picture
from edgegan.distributed import is_main
from edgegan.errors import ConfigError, OutputError
from edgegan.files import read_json, sha256_file, sha256_json, write_json
from edgegan.models.packaging import import_to_package
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import check_package_size, load_generator
from edgegan.package import PackageConfig, input_shape, is_package, package_hash, read_config
from edgegan.recipe.schema import Recipe
from edgegan.run import Run

BLOCK = 1 << 20  # bytes of a reservation that are written at once
CHUNK = 8


def resolve_teacher(run: Run, recipe: Recipe) -> Path:
    """The teacher's package folder; a checkpoint file is imported into the run first."""
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
    started = time.monotonic()
    if run.is_done("import", inputs):
        return folder
    files: list[Path] = []
    if is_main():
        import_to_package(
            recipe.teacher,
            folder,
            discriminator=recipe.discriminator,
            size=recipe.data.size,
            overwrite=True,
        )
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    run.finish("import", inputs, files, started)
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
    data, pool = recipe.data, recipe.distill.tap_pool
    config = read_config(teacher)
    check_kind(config.input, data, teacher)
    check_package_size(config, data.size)
    keep_taps = recipe.distill.feature_weight > 0 or recipe.distill.relation_weight > 0
    folder = run.stage_folder("teacher_cache")
    inputs = sha256_json(
        {
            "teacher": package_hash(teacher),
            "data": data.model_dump(mode="json", exclude={"train", "validation", "flip"}),
            "seed": recipe.seed,
            "tap_pool": pool if keep_taps else None,
            "examples": examples.fingerprint(),
            "held_out": examples.held_out,
            "search_taps": recipe.search.fitness == "feature",
        }
    )
    if run.is_done("teacher_cache", inputs):
        return folder
    if "teacher_cache" in run.manifest["stages"]:
        for note in folder.glob("*.progress.json"):  # it was finished and is not what it was
            note.unlink()
    started = time.monotonic()
    if not is_main():
        run.finish("teacher_cache", inputs, [], started)
        return folder
    module = load_generator(teacher)[1]
    names = []
    if keep_taps:
        names = tap_modules(module, torch.zeros(input_shape(config.input, data.size)))
    module.to(device)
    filler = Filler(folder, inputs, module, config, examples, recipe, device)
    paths = fill(filler, "train", names)
    paths += fill(filler, "validation", [])
    if examples.held_out:
        paths += fill(filler, "search", names if recipe.search.fitness == "feature" else [])
    if examples.has_reals and recipe.distill.gan_weight > 0:
        paths.append(fill_reals(filler))
    scales = [
        float(
            np.mean(
                np.square(np.load(folder / f"tap{i}.npy", mmap_mode="r")[:32].astype(np.float32))
            )
        )
        for i in range(len(names))
    ]
    write_json(
        folder / "cache.json",
        {
            "input": config.input.model_dump(mode="json"),
            "taps": names,
            "tap_mean_squares": scales,
            "validation": examples.names("validation"),
        },
    )
    run.finish(
        "teacher_cache",
        inputs,
        [*paths, folder / "cache.json"],
        started,
        crops=recipe.data.crops,
        validation=examples.count("validation"),
    )
    return folder


def tap_file(split: str, index: int) -> str:
    """The name of a tap's array."""
    return f"tap{index}.npy" if split == "train" else f"{split}_tap{index}.npy"


def fill(filler: Filler, split: str, tap_names: list[str]) -> list[Path]:
    """Writes one split's arrays chunk by chunk, noting after each how far it got."""
    folder, recipe, config = filler.folder, filler.recipe, filler.config
    crops = filler.examples.crops(split, recipe.seed)
    codec = Codec(config.input)
    note = folder / f"{split}.progress.json"
    done = 0
    if note.is_file():
        state = read_json(note)
        done = state["done"] if state.get("inputs") == filler.inputs else 0
    paths = [folder / f"{split}_input.npy", folder / f"{split}_output.npy"]
    if recipe.data.kind in ("paired", "labels"):
        paths.append(folder / f"{split}_truth.npy")
    paths += [folder / tap_file(split, index) for index in range(len(tap_names))]
    if not all(path.is_file() for path in paths):
        done = 0
    arrays: list[np.memmap] = []
    if done:
        arrays = [open_memmap(path, mode="r+") for path in paths]
    recorded: dict[str, torch.Tensor] = {}
    handles = [
        filler.module.get_submodule(name).register_forward_hook(recorder(recorded, name))
        for name in tap_names
    ]
    try:
        with (
            progress(f"teacher on {split} inputs", len(crops), done) as bar,
            torch.inference_mode(),
        ):
            for start in range(done, len(crops), CHUNK):
                for position in range(start, min(start + CHUNK, len(crops))):
                    x, truth = filler.examples.read(
                        split, crops[position], config.input, config.output.channels, recipe.seed
                    )
                    y = filler.module(torch.from_numpy(x)[None].to(filler.device))
                    row = [codec.store(x), y[0].half().cpu().numpy()]
                    row += [] if truth is None else [store_picture(truth)]
                    row += [
                        F.avg_pool2d(recorded[name], recipe.distill.tap_pool)[0]
                        .half()
                        .cpu()
                        .numpy()
                        for name in tap_names
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
                write_json(note, {"inputs": filler.inputs, "done": min(start + CHUNK, len(crops))})
    finally:
        for handle in handles:
            handle.remove()
    return paths


def new_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap:
    """An array on disk with all its room reserved: writing to a mapped file on a full disk would kill the process.
    It is a new file: runs that share an old one by hard link keep theirs."""
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


def recorder(recorded: dict[str, torch.Tensor], name: str):  # type: ignore[no-untyped-def]
    """A forward hook that keeps a module's output under its name."""

    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        recorded[name] = output

    return hook
