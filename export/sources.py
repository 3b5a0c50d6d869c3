"""What an export starts from: packages with the images they are calibrated and proved on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.data.images import center_crop, list_images, read_image, to_float
from edgegan.data.kept import open_inputs, open_outputs
from edgegan.data.labels import find_edges, one_hot, read_labels
from edgegan.data.pictures import readable
from edgegan.data.stored import Codec
from edgegan.errors import ConfigError, InputError
from edgegan.models.packaging import golden_inputs
from edgegan.models.zoo import check_package_size, parse_spec
from edgegan.package import (
    InputIO,
    LabelMapIO,
    NoiseIO,
    PackageConfig,
    is_package,
    planes_of,
    read_config,
    read_tensors,
)
from edgegan.run import MANIFEST, Run

CALIBRATION_IMAGES = 32
PARITY_IMAGES = {"student": 16, "teacher": 4, "package": 16}
Size = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """What one package is exported from and proved with. Inputs are in edgegan's own form: pictures (N, C, H, W) in
    [-1, 1], label maps one-hot, noise (N, dimension). `others` are further sizes with inputs of theirs.
    `parent_name` is the name of the teacher's package."""

    folder: Path
    role: str
    size: Size
    calibration: np.ndarray | None
    calibration_note: str
    images: np.ndarray
    teacher_outputs: np.ndarray | None
    validation: np.ndarray | None
    others: tuple[tuple[Size, np.ndarray], ...] = ()
    parent_name: str | None = None

    @property
    def proofs(self) -> list[tuple[Size, np.ndarray]]:
        """Every size with the inputs it is proved on, the default first."""
        return [(self.size, self.images), *self.others]


def collect_sources(
    source: Path, which: str, sizes: Sequence[Size], calibration: Path | None
) -> list[Source]:
    """The packages to export with their calibration and proof inputs."""
    if (source / MANIFEST).is_file():
        return run_sources(source, which, sizes, calibration)
    return [package_source(source, sizes, calibration)]


def package_source(folder: Path, sizes: Sequence[Size], calibration: Path | None) -> Source:
    """One package, proved on its golden inputs or on the calibration images."""
    config = read_config(folder)
    shape, *more = sizes or [config.size]
    for size in (shape, *more):
        check_package_size(config, size)
    count = PARITY_IMAGES["package"]
    if isinstance(config.input, NoiseIO):
        if calibration is not None:
            raise ConfigError(f"{folder} takes noise: leave --calibration out, it draws its own")
        noise = drawn_noise(config.input)
        note = f"{len(noise)} draws of noise"
        return Source(folder, config.role, shape, noise, note, noise[:count], None, None)
    if calibration is not None:
        chosen = load_folder(calibration, shape, config.input)
        note = f"{len(chosen)} images of {calibration}"
        others = tuple(
            (size, load_folder(calibration, size, config.input)[:count]) for size in more
        )
        return Source(folder, config.role, shape, chosen, note, chosen[:count], None, None, others)
    if isinstance(config.input, LabelMapIO):
        drawn = tuple((size, drawn_labels(count, size, config.input)) for size in more)
        golden = own_golden(folder, config)
        images = golden if shape == config.size else drawn_labels(count, shape, config.input)
        return Source(folder, config.role, shape, None, "", images, None, None, drawn)
    if more or shape != config.size:
        other = next(size for size in (*more, shape) if size != config.size)
        raise ConfigError(
            f"--size {other[0]}x{other[1]} is not the package's own: "
            "give --calibration DIR with images to prove it on"
        )
    return Source(folder, config.role, shape, None, "", own_golden(folder, config), None, None)


def own_golden(folder: Path, config: PackageConfig) -> np.ndarray:
    """The package's golden inputs."""
    return read_tensors(folder, config, "golden.safetensors")["input"].numpy()


def drawn_labels(count: int, size: Size, kind: LabelMapIO) -> np.ndarray:
    """Made-up label maps, the same on every machine."""
    return golden_inputs(count, size, kind).numpy()


def drawn_noise(kind: NoiseIO) -> np.ndarray:
    """Noise to prove and calibrate on, the same on every machine."""
    return golden_inputs(CALIBRATION_IMAGES, (1, 1), kind).numpy()


def run_sources(
    folder: Path, which: str, sizes: Sequence[Size], calibration: Path | None
) -> list[Source]:
    """A run's student and teacher at the run's size, calibrated on its training crops, proved on its validation crops;
    or both at another size on the calibration images."""
    run = Run.open(folder)
    run.student_figures()  # says when there is none yet
    own = folder / "teacher"
    teacher = own if own.is_dir() else Path(run.manifest["recipe"]["teacher"])
    config = read_config(folder / "student")
    shape, *more = sizes or [config.size]
    for size in (shape, *more):
        check_package_size(config, size)
    if (more or shape != config.size) and calibration is None:
        other = next(size for size in (*more, shape) if size != config.size)
        raise ConfigError(
            f"--size {other[0]}x{other[1]} is not the run's own: give --calibration DIR with images to prove it on"
        )
    chosen, note, others = calibration_inputs(folder, config, (shape, *more), calibration)
    validation = outputs = None
    if shape == config.size and (teacher_cache(folder) / "validation_input.npy").is_file():
        validation, outputs = validation_pairs(folder, config)
    proof = chosen if validation is None else validation
    common: dict[str, Any] = {
        "size": shape,
        "calibration": chosen,
        "calibration_note": note,
        "others": others,
    }
    student = Source(
        folder=folder / "student",
        role="student",
        images=proof[: PARITY_IMAGES["student"]],
        teacher_outputs=outputs,
        validation=validation,
        parent_name=read_config(teacher).name if is_package(teacher) else None,
        **common,
    )
    taught = Source(
        folder=teacher,
        role="teacher",
        images=proof[: PARITY_IMAGES["teacher"]],
        teacher_outputs=None,
        validation=None,
        **common,
    )
    return [each for each in (student, taught) if which in (each.role, "both")]


def calibration_inputs(
    folder: Path, config: PackageConfig, sizes: Sequence[Size], calibration: Path | None
) -> tuple[np.ndarray, str, tuple[tuple[Size, np.ndarray], ...]]:
    """What a run's packages are calibrated with, in words too, and the inputs of its further sizes."""
    if calibration is None:
        path = teacher_cache(folder) / "train_input.npy"
        if not path.is_file():
            raise InputError(
                f"{path} is missing: run edgegan compress again, or give --calibration DIR with images to prove it on"
            )
        kept = open_inputs(path, config.input)[:CALIBRATION_IMAGES]
        chosen = Codec(config.input).load(kept).numpy()
        return chosen, f"{len(chosen)} training crops of the run", ()
    chosen = load_folder(calibration, sizes[0], config.input)
    others = tuple(
        (size, load_folder(calibration, size, config.input)[: PARITY_IMAGES["teacher"]])
        for size in sizes[1:]
    )
    return chosen, f"{len(chosen)} images of {calibration}", others


def teacher_cache(folder: Path) -> Path:
    """Where a run keeps its crops and what its teacher makes of them."""
    return folder / "stages" / "teacher_cache"


def validation_pairs(folder: Path, config: PackageConfig) -> tuple[np.ndarray, np.ndarray]:
    """A run's validation inputs and what its teacher makes of them."""
    cache = teacher_cache(folder)
    inputs = open_inputs(cache / "validation_input.npy", config.input)
    outputs = open_outputs(cache / "validation_output.npy", inputs).astype(np.float32)
    return Codec(config.input).load(inputs).numpy(), outputs


def load_folder(folder: Path, size: Size, kind: InputIO) -> np.ndarray:
    """Up to 32 centre crops of a folder's pictures or label maps, in edgegan's own form; those that cannot be read are
    named and left out."""
    if len(planes_of(kind)) > 1:
        raise ConfigError(
            f"--calibration {folder}: this generator takes several inputs, and a folder gives one; export a run, which "
            "has its own crops, or a package without --calibration (fp32 and fp16)"
        )
    files = list_images(folder)
    step = max(1, len(files) // CALIBRATION_IMAGES)
    labels = isinstance(kind, LabelMapIO)
    chosen = readable(files[::step][:CALIBRATION_IMAGES], skip_bad=True, labels=labels)
    if isinstance(kind, LabelMapIO):
        return np.stack([load_labels(path, size, kind) for path in chosen])
    return np.stack(
        [to_float(center_crop(read_image(path), size, None), kind.channels) for path in chosen]
    )


def load_labels(path: Path, size: Size, kind: LabelMapIO) -> np.ndarray:
    """The middle of a label map at `size`, scaled by nearest pixels where it is smaller; borders of its classes stand
    for those of instances."""
    labels = read_labels(path)
    scale = max(1.0, size[0] / labels.shape[0], size[1] / labels.shape[1])
    rows = (np.arange(int(labels.shape[0] * scale)) / scale).astype(int)
    columns = (np.arange(int(labels.shape[1] * scale)) / scale).astype(int)
    top, left = (len(rows) - size[0]) // 2, (len(columns) - size[1]) // 2
    cut = labels[rows[top : top + size[0]]][:, columns[left : left + size[1]]]
    channels = one_hot(cut, kind.classes)
    if kind.instance_edge:
        channels = np.concatenate([channels, find_edges(cut)[None]])
    return channels


def size_multiple(config: PackageConfig, folder: Path, *, dynamic: bool) -> int:
    """What free heights and widths are multiples of; raises ConfigError when the generator has one size only."""
    spec = parse_spec(config.family, config.spec)
    if not dynamic:
        return 1
    if spec.size is not None:
        raise ConfigError(
            f"{folder} makes pictures of {config.size[0]}x{config.size[1]} only: leave --dynamic out"
        )
    return spec.stride


def smallest_size(config: PackageConfig) -> int:
    """The smallest height and width."""
    return parse_spec(config.family, config.spec).min_size
