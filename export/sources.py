"""What an export starts from: packages with the images they are calibrated and proved on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegan.data.images import center_crop, from_stored, list_images, read_image, to_float
from edgegan.errors import ConfigError
from edgegan.models.zoo import check_package_size
from edgegan.package import read_config, read_tensors
from edgegan.run import MANIFEST, Run

CALIBRATION_IMAGES = 32
PARITY_IMAGES = {"student": 16, "teacher": 4}


@dataclass(frozen=True)
class Source:
    """What one package is exported from and proved with."""

    folder: Path
    role: str
    size: tuple[int, int]
    calibration: np.ndarray | None
    calibration_note: str
    images: np.ndarray
    teacher_outputs: np.ndarray | None
    validation: np.ndarray | None


def collect_sources(
    source: Path, which: str, size: tuple[int, int] | None, calibration: Path | None
) -> list[Source]:
    """The packages to export with their calibration and proof images."""
    if (source / MANIFEST).is_file():
        return run_sources(source, which, size, calibration)
    return [package_source(source, size, calibration)]


def package_source(folder: Path, size: tuple[int, int] | None, calibration: Path | None) -> Source:
    """One package, proved on its golden inputs or on the calibration images."""
    config = read_config(folder)
    if config.input.kind != "image":
        raise ConfigError(
            f"{folder} takes a {config.input.kind.replace('_', ' ')}; export lowers image-to-image generators"
        )
    shape = size or config.size
    check_package_size(config, shape)
    if calibration is not None:
        chosen = load_folder(calibration, shape, config.input.channels)
        note = f"{len(chosen)} images of {calibration}"
        return Source(
            folder, config.role, shape, chosen, note, chosen[: PARITY_IMAGES["teacher"]], None, None
        )
    if shape != config.size:
        raise ConfigError(
            f"--size {shape[0]}x{shape[1]} is not the package's own: "
            "give --calibration DIR with images to prove it on"
        )
    golden = read_tensors(folder, config, "golden.safetensors")["input"].numpy()
    return Source(folder, config.role, shape, None, "", golden, None, None)


def run_sources(
    folder: Path, which: str, size: tuple[int, int] | None, calibration: Path | None
) -> list[Source]:
    """A run's student and teacher at the run's size, calibrated on its training crops, proved on its validation crops;
    or both at another size on the calibration images."""
    run = Run.open(folder)
    cache = folder / "stages" / "teacher_cache"
    if "distill" not in run.manifest["stages"]:
        raise ConfigError(
            f"{folder} has no finished student; run the same edgegan compress command again to finish it"
        )
    own = folder / "teacher"
    teacher = own if own.is_dir() else Path(run.manifest["recipe"]["teacher"])
    config = read_config(folder / "student")
    shape = size or config.size
    check_package_size(config, shape)
    if shape != config.size and calibration is None:
        raise ConfigError(
            f"--size {shape[0]}x{shape[1]} is not the run's own: give --calibration DIR with images to prove it on"
        )
    if calibration is not None:
        chosen = load_folder(calibration, shape, config.input.channels)
        note = f"{len(chosen)} images of {calibration}"
    else:
        chosen = from_stored(np.load(cache / "train_input.npy", mmap_mode="r")[:CALIBRATION_IMAGES])
        note = f"{len(chosen)} training crops of the run"
    validation = outputs = None
    if shape == config.size:
        validation = from_stored(np.load(cache / "validation_input.npy", mmap_mode="r"))
        outputs = np.load(cache / "validation_output.npy", mmap_mode="r").astype(np.float32)
    proof = chosen if validation is None else validation
    sources = []
    if which in ("student", "both"):
        images = proof[: PARITY_IMAGES["student"]]
        sources.append(
            Source(folder / "student", "student", shape, chosen, note, images, outputs, validation)
        )
    if which in ("teacher", "both"):
        images = proof[: PARITY_IMAGES["teacher"]]
        sources.append(Source(teacher, "teacher", shape, chosen, note, images, None, None))
    return sources


def load_folder(folder: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Up to 32 centre crops of a folder's images, (N, C, H, W) float32 in [-1, 1]."""
    files = list_images(folder)
    step = max(1, len(files) // CALIBRATION_IMAGES)
    return np.stack(
        [
            to_float(center_crop(read_image(path), size, None), channels)
            for path in files[::step][:CALIBRATION_IMAGES]
        ]
    )
