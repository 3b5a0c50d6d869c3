"""Stage 1 and 2: the teacher as a package, and its outputs and features on the run's crops, kept on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from torch import nn

from edgegan.config import Data, Recipe
from edgegan.console import progress, say
from edgegan.data.images import (
    Crop,
    fingerprint,
    list_images,
    plan_crops,
    read_image,
    split_files,
    take_crop,
    to_float,
)
from edgegan.errors import ConfigError, InputError
from edgegan.files import read_json, sha256_file, sha256_json, write_json
from edgegan.models.packaging import import_to_package
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import check_package_size, load_generator
from edgegan.package import is_package, package_hash, read_config
from edgegan.run import Run

CHUNK = 8


@dataclass(frozen=True)
class Images:
    """The run's pictures, split."""

    train: list[Path]
    validation: list[Path]


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
    if not run.is_done("import", inputs):
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


def resolve_images(data: Data, seed: int) -> Images:
    """Training and validation files; every one is opened by the stages that use it."""
    if data.train is None:
        raise ConfigError("data.train is not set; give --data FOLDER with training images")
    files = list_images(data.train)
    if data.validation is not None:
        return Images(files, list_images(data.validation)[: data.validation_images])
    train, held = split_files(files, seed)
    return Images(train, held[: data.validation_images])


def cache_teacher(
    run: Run, recipe: Recipe, teacher: Path, images: Images, device: torch.device
) -> Path:
    """Runs the teacher once over all training crops and validation pictures; returns the cache's folder.

    Files: {train,validation}_input.npy uint8 (N, C, H, W); {train,validation}_output.npy float16 (N, C, H, W);
    tap0.npy ... float16 (N, C, h, w), averaged over `tap_pool` squares. A killed stage goes on where it was.
    """
    data, pool = recipe.data, recipe.distill.tap_pool
    config = read_config(teacher)
    if config.input.kind != "image":
        raise ConfigError(
            f"{teacher} takes a {config.input.kind.replace('_', ' ')}, not pictures; "
            "compress distils image-to-image generators"
        )
    check_package_size(config, data.size)
    keep_taps = recipe.distill.feature_weight > 0
    folder = run.stage_folder("teacher_cache")
    inputs = sha256_json(
        {
            "teacher": package_hash(teacher),
            "data": data.model_dump(mode="json", exclude={"train", "validation", "flip"}),
            "seed": recipe.seed,
            "tap_pool": pool if keep_taps else None,
            "train": fingerprint(images.train),
            "validation": fingerprint(images.validation),
        }
    )
    if run.is_done("teacher_cache", inputs):
        return folder
    started = time.monotonic()
    module = load_generator(teacher)[1]
    crops = plan_crops(len(images.train), data.crops, recipe.seed)
    names = (
        tap_modules(module, torch.zeros(1, config.input.channels, *data.size)) if keep_taps else []
    )
    module.to(device)
    paths = fill(
        folder,
        "train",
        inputs,
        module,
        images.train,
        crops,
        config.input.channels,
        recipe,
        names,
        device,
    )
    middle = [Crop(index, 0.5, 0.5) for index in range(len(images.validation))]
    paths += fill(
        folder,
        "validation",
        inputs,
        module,
        images.validation,
        middle,
        config.input.channels,
        recipe,
        [],
        device,
    )
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
            "taps": names,
            "tap_mean_squares": scales,
            "validation": [p.name for p in images.validation],
        },
    )
    run.finish(
        "teacher_cache",
        inputs,
        [*paths, folder / "cache.json"],
        started,
        crops=len(crops),
        validation=len(middle),
    )
    return folder


def fill(
    folder: Path,
    split: str,
    inputs: str,
    module: nn.Module,
    files: list[Path],
    crops: list[Crop],
    channels: int,
    recipe: Recipe,
    tap_names: list[str],
    device: torch.device,
) -> list[Path]:
    """Writes one split's arrays chunk by chunk, noting after each how far it got."""
    note = folder / f"{split}.progress.json"
    done = 0
    if note.is_file():
        state = read_json(note)
        done = state["done"] if state.get("inputs") == inputs else 0
    paths = [folder / f"{split}_input.npy", folder / f"{split}_output.npy"]
    paths += [folder / f"tap{index}.npy" for index in range(len(tap_names))]
    if not all(path.is_file() for path in paths):
        done = 0
    arrays: list[np.memmap] = []
    if done:
        arrays = [open_memmap(path, mode="r+") for path in paths]
    recorded: dict[str, torch.Tensor] = {}
    handles = [
        module.get_submodule(name).register_forward_hook(recorder(recorded, name))
        for name in tap_names
    ]
    pool = recipe.distill.tap_pool
    try:
        with (
            progress(f"teacher on {split} images", len(crops), done) as bar,
            torch.inference_mode(),
        ):
            for start in range(done, len(crops), CHUNK):
                for position in range(start, min(start + CHUNK, len(crops))):
                    crop = crops[position]
                    pixels = take_crop(
                        read_image(files[crop.index]), crop, recipe.data.size, recipe.data.resize
                    )
                    x = to_float(pixels, channels)
                    y = module(torch.from_numpy(x)[None].to(device))
                    row = [stored_input(x), y[0].half().cpu().numpy()]
                    row += [
                        F.avg_pool2d(recorded[name], pool)[0].half().cpu().numpy()
                        for name in tap_names
                    ]
                    if not arrays:
                        arrays = [
                            open_memmap(path, "w+", value.dtype, (len(crops), *value.shape))
                            for path, value in zip(paths, row, strict=True)
                        ]
                    for array, value in zip(arrays, row, strict=True):
                        array[position] = value
                    bar.step(position + 1)
                for array in arrays:
                    array.flush()
                write_json(note, {"inputs": inputs, "done": min(start + CHUNK, len(crops))})
    finally:
        for handle in handles:
            handle.remove()
    return paths


def stored_input(x: np.ndarray) -> np.ndarray:
    """(C, H, W) in [-1, 1] as uint8, from which `load_input` gives it back."""
    return np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8)


def load_input(stored: np.ndarray) -> torch.Tensor:
    """uint8 (..., C, H, W) -> float32 in [-1, 1]; noise and other floats as they are."""
    values = torch.from_numpy(np.array(stored))
    return values.float() / 127.5 - 1 if values.dtype == torch.uint8 else values.float()


def recorder(recorded: dict[str, torch.Tensor], name: str):  # type: ignore[no-untyped-def]
    """A forward hook that keeps a module's output under its name."""

    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        recorded[name] = output

    return hook


def check_images(images: Images) -> None:
    """Opens every picture's header, so that a wrong one is named in the first seconds, not after minutes."""
    from PIL import Image

    for path in [*images.train, *images.validation]:
        try:
            with Image.open(path) as image:
                image.verify()
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(
                f"{path} is damaged or not an image ({error}); replace or remove it"
            ) from error


def announce(images: Images, recipe: Recipe) -> None:
    """Says what the run is about to use."""
    height, width = recipe.data.size
    say(
        f"{len(images.train)} training and {len(images.validation)} validation images, crops of {height}x{width}"
    )
