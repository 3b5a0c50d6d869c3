"""Validation pictures by teacher and artefacts, and maps of where they differ, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.reporting.headline import Models, pick
from edgegan.data.images import from_stored, to_pixels
from edgegan.data.kept import open_inputs, open_outputs, read_kept
from edgegan.data.labels import colour_labels, one_hot
from edgegan.errors import MissingDependency
from edgegan.files import check_sha256
from edgegan.package import InputIO, LabelMapIO, NoiseIO
from edgegan.run import Run
from edgegan.runtime.session import Session
from edgegan.tensors import from_artefact, to_artefact

MOST_PIXELS = 512  # of the longer side in the page
AMPLIFIED = 4
COLUMNS = {
    "input": "input",
    "teacher": "teacher",
    "fp32": "student fp32",
    "int8": "student int8",
    "fp32_difference": f"difference fp32 - teacher, x{AMPLIFIED}",
    "int8_difference": f"difference int8 - teacher, x{AMPLIFIED}",
}
HEAT = np.array(
    [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64
)


@dataclass(frozen=True)
class Picture:
    """One validation input: data URIs by column, PSNR to the teacher by precision."""

    name: str
    width: int
    height: int
    images: dict[str, str]
    psnr_db: dict[str, float]


@dataclass(frozen=True)
class Gallery:
    """Pictures and what could not be shown."""

    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def columns(self) -> dict[str, str]:
        """Keys of the columns there are, with their names."""
        return {
            key: name
            for key, name in COLUMNS.items()
            if any(key in p.images for p in self.pictures)
        }


def make_gallery(run: Run, models: Models, count: int) -> Gallery:
    """At most `count` validation pictures, evenly spaced. Raises IntegrityError when the run's kept outputs are not
    what its teacher_cache stage wrote."""
    folder = run.folder / "stages" / "teacher_cache"
    written = run.manifest["stages"].get("teacher_cache", {}).get("outputs", {})
    for name in ("validation_input.npy", "validation_output.npy", "cache.json"):
        path = folder / name
        check_sha256(path, written.get(str(path.relative_to(run.folder)), "not recorded"))
    about = read_kept(folder)
    stored = open_inputs(folder / "validation_input.npy", about.input)
    chosen = np.linspace(0, len(stored) - 1, min(count, len(stored))).round().astype(int)
    kept = np.array(stored[chosen])
    spec = about.input
    teacher = open_outputs(folder / "validation_output.npy", stored)[chosen].astype(np.float32)
    outputs, notes = {"teacher": teacher}, []
    fed = network_inputs(kept, spec)
    for column in ("fp32", "int8"):
        wanted = {"role": "student", "precision": column}
        found = pick(models, **wanted, target="tflite") or pick(models, **wanted)
        if found is None:
            notes.append(f"no student {column} artefact: edgegan export makes it")
            continue
        try:
            made = run_artefact(*found, fed)
        except MissingDependency as error:
            notes.append(f"no pictures of student {column}: {error}")
            continue
        if made is None or made.shape != teacher.shape:
            notes.append(f"student {column} was exported at another size than it was trained at")
        else:
            outputs[column] = made
    names = about.validation
    pictures = []
    for row, index in enumerate(chosen):
        pixels = {"input": input_pixels(kept[row], spec)} if spec.kind != "noise" else {}
        pixels |= {column: to_pixels(values[row]) for column, values in outputs.items()}
        psnr_db = {}
        for column in ("fp32", "int8"):
            if column in outputs:
                difference = outputs[column][row] - teacher[row]
                pixels[f"{column}_difference"] = heat_map(difference)
                psnr_db[column] = psnr(difference)
        name = names[index] if index < len(names) else f"input {index}"
        height, width = pixels["teacher"].shape[:2]
        images = {column: data_uri(values) for column, values in pixels.items()}
        pictures.append(Picture(str(name), width, height, images, psnr_db))
    return Gallery(pictures, notes)


def network_inputs(kept: NDArray, spec: InputIO) -> NDArray[np.float32]:
    """Stored inputs as a generator takes them, float32, channels first."""
    if isinstance(spec, NoiseIO):
        return kept.astype(np.float32)
    if isinstance(spec, LabelMapIO):
        planes = [
            np.concatenate([one_hot(each[0], spec.classes), each[1:].astype(np.float32)])
            for each in kept
        ]
        return np.stack(planes)
    return from_stored(kept)


def input_pixels(kept: NDArray, spec: InputIO) -> NDArray[np.uint8]:
    """A stored picture or label map to look at, (H, W, 3)."""
    return colour_labels(kept[0]) if isinstance(spec, LabelMapIO) else to_pixels(from_stored(kept))


def run_artefact(
    path: Path, model: ModelManifest, fed: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Outputs (N, C, H, W) of an artefact in [-1, 1]; None when it takes another size."""
    if fed.ndim == 4 and tuple(model.sizes[0]) != fed.shape[2:]:
        return None
    with Session(path, threads=2) as session:
        return from_artefact(session.run(to_artefact(fed, model.inputs[0])), model.outputs[0])


def psnr(difference: NDArray[np.float32]) -> float:
    """PSNR in dB of a difference of values in [-1, 1]; 200 when there is none."""
    mean_square = float(np.mean(np.square(difference, dtype=np.float64)))
    return min(200.0, 10 * np.log10(4 / mean_square)) if mean_square > 0 else 200.0


def heat_map(difference: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(C, H, W) differences of values in [-1, 1] -> (H, W, 3): black where equal, light yellow from a quarter of the
    range on."""
    share = np.clip(np.abs(difference).mean(axis=0) / 2 * AMPLIFIED, 0, 1)
    place = share * (len(HEAT) - 1)
    colours = [np.interp(place, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    return np.stack(colours, axis=-1).round().astype(np.uint8)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 as an inline JPEG, at most MOST_PIXELS long."""
    image = Image.fromarray(pixels)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
