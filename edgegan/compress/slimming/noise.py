"""Generators from noise (SNGAN): the teacher's outputs and features at fixed noise, in files as for pictures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from edgegan.compress.distill import hooked
from edgegan.config import Recipe
from edgegan.console import progress
from edgegan.errors import ConfigError
from edgegan.files import sha256_json, write_json
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import load_generator
from edgegan.package import NoiseIO, input_shape, is_package, package_hash, read_config
from edgegan.run import Run

CHUNK = 32
VALIDATION_SEED = 1_000_000


def takes_noise(recipe: Recipe) -> bool:
    """Whether the teacher is a package of a generator from noise, which needs no pictures."""
    teacher = recipe.teacher
    return (
        teacher is not None and is_package(teacher) and read_config(teacher).input.kind == "noise"
    )


def draw_noise(count: int, dimension: int, seed: int) -> np.ndarray:
    """Standard normal noise (count, dimension) float32, the same on every machine."""
    chance = np.random.default_rng(seed)
    return chance.standard_normal((count, dimension), dtype=np.float32)


def cache_noise(run: Run, recipe: Recipe, teacher: Path, device: torch.device) -> Path:
    """Runs the teacher once over `data.crops` training and `data.validation_images` validation noises.

    Files as `cache_teacher` writes them, inputs float32 (N, dimension); features in float16, averaged over `tap_pool`.
    """
    config, module = load_generator(teacher)
    if not isinstance(config.input, NoiseIO):
        raise ConfigError(f"{teacher} does not take noise")
    if recipe.data.flip:
        raise ConfigError("noise cannot be mirrored: set data.flip to false for this teacher")
    folder = run.stage_folder("teacher_cache")
    keep_taps = recipe.distill.feature_weight > 0
    counts = {"train": recipe.data.crops, "validation": recipe.data.validation_images}
    inputs = sha256_json(
        [package_hash(teacher), counts, recipe.seed, keep_taps and recipe.distill.tap_pool]
    )
    if run.is_done("teacher_cache", inputs):
        return folder
    started = time.monotonic()
    example = torch.zeros(input_shape(config.input, config.size))
    taps = tap_modules(module, example) if keep_taps else []
    module.to(device)
    paths = []
    scales: list[float] = []
    for split, count in counts.items():
        seed = recipe.seed + (VALIDATION_SEED if split == "validation" else 0)
        noise = draw_noise(count, config.input.dimension, seed)
        names = taps if split == "train" else []
        outputs, features = run_noise(module, noise, names, recipe.distill.tap_pool, device)
        arrays = {f"{split}_input": noise, f"{split}_output": outputs}
        arrays |= {f"tap{index}": feature for index, feature in enumerate(features)}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
            paths.append(folder / f"{name}.npy")
        scales += [
            float(np.mean(np.square(feature[:32].astype(np.float32)))) for feature in features
        ]
    about = {"taps": taps, "tap_mean_squares": scales, "validation": []}
    write_json(folder / "cache.json", about)
    run.finish("teacher_cache", inputs, [*paths, folder / "cache.json"], started, **counts)
    return folder


def run_noise(
    module: torch.nn.Module, noise: np.ndarray, taps: list[str], pool: int, device: torch.device
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Images (N, C, H, W) and pooled features at the taps, float16."""
    images: list[np.ndarray] = []
    features: list[list[np.ndarray]] = [[] for _ in taps]
    with (
        torch.inference_mode(),
        hooked(module, taps) as recorded,
        progress("teacher on noise", len(noise)) as bar,
    ):
        for first in range(0, len(noise), CHUNK):
            made = module(torch.from_numpy(noise[first : first + CHUNK]).to(device))
            images.append(made.half().cpu().numpy())
            for rows, name in zip(features, taps, strict=True):
                rows.append(F.avg_pool2d(recorded[name], pool).half().cpu().numpy())
            bar.step(min(len(noise), first + CHUNK))
    return np.concatenate(images), [np.concatenate(rows) for rows in features]
