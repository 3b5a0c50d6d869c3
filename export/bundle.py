"""`edgegan bundle`: an artefact, its model.json, golden tensors and sample pictures into an app's assets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from edgegan.export.parity import run_artefact

from edgegan.artefact import ModelManifest, exported_models
from edgegan.data.images import from_stored, to_pixels, write_image
from edgegan.errors import InputError, OutputError
from edgegan.files import (
    atomic_folder,
    clear_folder,
    make_folder,
    sha256_file,
    write_atomic,
    write_json,
)
from edgegan.run import Run

TARGETS = ("android",)
ASSETS = Path("app/src/main/assets")
GOLDEN_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "int8": 5e-2}
SAMPLES = 4
PRECISION_ORDER = ("int8", "fp16", "fp32")


def bundle_android(
    source: Path, app: Path, precision: str | None, *, overwrite: bool = False
) -> list[Path]:
    """Copies a run's student into the assets of the Android app in `app`; returns the files written.

    `models/<id>/` gets model.tflite, model.json and golden/{input,output}.{f32,png}; `samples/` gets pictures to try.
    The golden output is the artefact's own, so a phone that differs has a broken runtime or a broken copy.
    """
    run = Run.open(source)
    path, model = pick(source / "export", precision)
    if not app.is_dir():
        raise InputError(
            f"{app} is not the Android project; give --into FOLDER (android_demo of the edgegan sources)"
        )
    identity = f"{run.manifest['recipe']['name']}_{model.precision}"
    folder = app / ASSETS / "models" / identity
    if folder.exists() and not overwrite and not same_model(folder, model):
        raise OutputError(f"{folder} holds another model; add --overwrite to replace it")
    cache = source / "stages" / "teacher_cache" / "validation_input.npy"
    stored = np.load(cache, mmap_mode="r")
    golden_input = from_stored(stored[:1])
    golden_output = run_artefact(path, "tflite", golden_input)
    with atomic_folder(folder, "model.json", overwrite=True) as temporary:
        shutil.copyfile(path, temporary / "model.tflite")
        for name, values in (("input", golden_input[0]), ("output", golden_output[0])):
            nhwc = np.ascontiguousarray(values.transpose(1, 2, 0)).astype("<f4")
            write_atomic(temporary / "golden" / f"{name}.f32", nhwc.tobytes())
            write_image(temporary / "golden" / f"{name}.png", to_pixels(values))
        write_json(temporary / "model.json", app_manifest(identity, model, temporary))
    write_samples(app / ASSETS / "samples", stored)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def pick(export: Path, precision: str | None) -> tuple[Path, ModelManifest]:
    """The student's .tflite of this precision, or the smallest there is; hashes checked."""
    found = {
        m.precision: (p, m)
        for p, m in exported_models(export)
        if m.role == "student" and m.target == "tflite"
    }
    for name in [precision] if precision else PRECISION_ORDER:
        if name in found:
            return found[name]
    wanted = f" in {precision}" if precision else ""
    raise InputError(
        f"{export} has no student .tflite{wanted}; make it with: edgegan export RUN --target tflite"
    )


def same_model(folder: Path, model: ModelManifest) -> bool:
    """Whether the bundled model is this one already."""
    path = folder / "model.tflite"
    return path.is_file() and sha256_file(path) == model.sha256


def app_manifest(identity: str, model: ModelManifest, folder: Path) -> dict[str, Any]:
    """model.json as the app reads it: the artefact's, with the app's file names and the golden tensors."""
    values = model.model_dump(mode="json")
    values.update(id=identity, title=identity.replace("_", " "), file="model.tflite")
    values["golden"] = {
        "input": "golden/input.f32",
        "output": "golden/output.f32",
        "input_sha256": sha256_file(folder / "golden/input.f32"),
        "output_sha256": sha256_file(folder / "golden/output.f32"),
        "layout": "NHWC",
        "dtype": "float32 little-endian",
        "max_mean_abs": GOLDEN_TOLERANCE[model.precision],
    }
    return values


def write_samples(folder: Path, stored: np.ndarray) -> None:
    """A few of the run's validation pictures for people to try."""
    clear_folder(folder, "sample0.jpg")
    make_folder(folder)
    for index in range(min(SAMPLES, len(stored))):
        write_image(folder / f"sample{index}.jpg", to_pixels(from_stored(stored[index])))
