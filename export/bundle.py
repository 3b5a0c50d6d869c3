"""`edgegan bundle`: artefacts, model.json, golden tensors, samples and licences into an app's or a page's files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.artefact import BundledModel, Golden, ModelManifest, TensorInfo, exported_models
from edgegan.data.images import from_stored, resize_image, to_float, to_pixels, write_image
from edgegan.data.kept import open_inputs, read_kept
from edgegan.errors import ConfigError, InputError, OutputError
from edgegan.export import licences
from edgegan.export.bundles import BUNDLES, INDEX
from edgegan.export.parity import run_artefact
from edgegan.files import (
    check_sha256,
    sha256_file,
    write_atomic,
    write_json,
)
from edgegan.ownership.folders import (
    discard_listed,
    held,
    is_ours,
    manifest_files,
    manifest_values,
    owned_files,
    remove_whole,
)
from edgegan.ownership.journal import claim
from edgegan.ownership.layouts import LAYOUTS, index_files
from edgegan.ownership.replacement import atomic_folder
from edgegan.run import Run
from edgegan.runtime.tiling import enlarged

GOLDEN_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "int8": 5e-2}
SAMPLES = 4
PRECISION_ORDER = ("int8", "fp16", "fp32")
CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}


@dataclass(frozen=True)
class Choice:
    """Which artefacts of a run are bundled, and under which name."""

    precisions: list[str] | None = None
    teacher: bool = False
    name: str | None = None


def bundle_run(
    source: Path,
    target: str,
    into: Path,
    choice: Choice,
    *,
    overwrite: bool = False,
    download: bool = False,
) -> list[Path]:
    """Copies models of a run into the Android project or web page `into`; returns the files of the models.

    `models/<id>/` gets model.tflite, model.json and golden/; `samples/` pictures to try; `licenses/` a text for each
    model. The golden output is the artefact's own, so a device that differs has a broken runtime or a broken copy.
    """
    run = Run.open(source)
    name = checked_name(choice.name or str(run.manifest["recipe"]["name"]))
    place = BUNDLES[target]
    picked = pick(source / "export", choice, place.target)
    assets = place.open(into)
    stored = validation_pictures(source)
    for path, model in picked:
        check_readable(model, path)
    with held(assets, place.kind, foreign=place.shared):
        files: list[Path] = []
        made = []
        for path, model in picked:
            identity = bundled_id(name, model.role, model.precision)
            folder = assets / "models" / identity
            if not overwrite and holds_another(folder, model):
                raise OutputError(
                    f"{folder} holds another model; add --overwrite to replace it, or --name to keep both"
                )
            with atomic_folder(folder, "model", overwrite=True) as temporary:
                picture = golden_picture(stored[0], model)
                write_model(temporary, identity, name, path, model, picture)
            licences.write(assets / "licenses" / f"{identity}.txt", model)
            files += [folder / file for file in sorted(owned_files(folder, "model"))]
            made.append(identity)
        samples = write_samples(assets / "samples", name, stored)
        place.write_around(assets, download=download)
        write_index(assets, made, samples)
        place.write_lists(assets)
    return files


def remove_run(source: Path, target: str, into: Path, name: str | None) -> list[Path]:
    """Takes a run's models, samples and licences out of the app or page; returns the folders that are gone."""
    name = checked_name(name or str(Run.open(source).manifest["recipe"]["name"]))
    assets = BUNDLES[target].assets(into)
    ids = [bundled_id(name, role, p) for role in ("student", "teacher") for p in PRECISION_ORDER]
    there = [each for each in ids if is_ours(assets / "models" / each, "model")]
    if not there:
        raise InputError(f"{into} holds no model of {name}; nothing was removed")
    with held(assets, BUNDLES[target].kind, foreign=BUNDLES[target].shared):
        for identity in there:
            remove_whole(assets / "models" / identity, "model")
            discard_listed(assets / "licenses" / f"{identity}.txt")
        for index in range(SAMPLES):
            discard_listed(assets / "samples" / f"{name}_{index}.jpg")
        write_index(assets, [], [])
        BUNDLES[target].write_lists(assets)
    return [assets / "models" / identity for identity in there]


def checked_name(name: str) -> str:
    """The name, which folders and files are named by; raises ConfigError when it could lead elsewhere."""
    if not re.fullmatch(r"[^\W.][\w .+-]*", name):
        raise ConfigError(
            f"'{name}' cannot name a folder: give --name with letters, digits, spaces, '.', '-', '_' or '+'"
        )
    return name


def bundled_id(name: str, role: str, precision: str) -> str:
    """The folder of a bundled model."""
    return f"{name}_teacher_{precision}" if role == "teacher" else f"{name}_{precision}"


def pick(export: Path, choice: Choice, target: str) -> list[tuple[Path, ModelManifest]]:
    """The run's artefacts of a target that were asked for, hashes checked; without precisions the smallest student."""
    found: dict[tuple[str, str], tuple[Path, ModelManifest]] = {
        (m.role, m.precision): (p, m) for p, m in exported_models(export) if m.target == target
    }
    students = [p for p in PRECISION_ORDER if ("student", p) in found]
    wanted: list[tuple[str, str]] = [("student", p) for p in choice.precisions or students[:1]]
    if choice.teacher:
        teachers = [p for p in reversed(PRECISION_ORDER) if ("teacher", p) in found]
        wanted.append(("teacher", teachers[0] if teachers else "fp32"))
    for role, precision in wanted or [("student", "int8")]:
        if (role, precision) not in found:
            raise InputError(
                f"{export} has no {role} .{target} in {precision}; make it with: "
                f"edgegan export {export.parent} --target {target} --precision {precision}"
            )
    return [found[key] for key in wanted]


def check_readable(model: ModelManifest, path: Path) -> None:
    """Raises InputError unless the app can read the model: one float32 NHWC picture in, one out whose
    sides are the manifest's multiple of its."""
    problem = ""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        problem = f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
    else:
        problem = unreadable(model.inputs[0]) or unreadable(model.outputs[0])
        takes, gives = model.inputs[0].shape[1:3], model.outputs[0].shape[1:3]
        if not problem and gives != [enlarged(s, Fraction(*model.enlarges)) for s in takes]:
            problem = (
                f"makes {gives[1]}x{gives[0]} of {takes[1]}x{takes[0]}, but its manifest says "
                f"enlarges {model.enlarges[0]}/{model.enlarges[1]}"
            )
    if problem:
        raise InputError(
            f"{path} {problem}; the app and the page read one float32 NHWC picture and make one of its size, or with "
            "sides that are one multiple of its"
        )


def unreadable(tensor: TensorInfo) -> str:
    """What keeps the app from reading this tensor, or an empty string."""
    values: dict[str, Any] = tensor.model_dump()
    for key, wanted in (("layout", "NHWC"), ("dtype", "float32"), ("kind", "image")):
        if values.get(key, wanted) != wanted:
            return f"has {tensor.name} with {key} {values[key]}"
    if tensor.parts:
        return f"takes several inputs ({', '.join(each.name for each in tensor.parts)})"
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        return f"has {tensor.name} of shape {tensor.shape}"
    if CHANNELS.get(tensor.colour) != tensor.shape[3]:
        return f"has {tensor.name} with {tensor.shape[3]} channels of colour {tensor.colour}"
    return ""


def holds_another(folder: Path, model: ModelManifest) -> bool:
    """Whether a finished bundled model is another one than this."""
    path = folder / "model.tflite"
    finished = (folder / "model.json").is_file() and path.is_file()
    return finished and sha256_file(path) != model.sha256


def validation_pictures(source: Path) -> np.ndarray:
    """The run's validation pictures, uint8 (N, C, H, W); raises InputError when there are none for golden tensors."""
    cache = source / "stages" / "teacher_cache" / "validation_input.npy"
    if not cache.is_file():
        raise InputError(
            f"{source} has no validation pictures ({cache} is missing), so no golden tensors can be made; "
            "run edgegan compress again"
        )
    return open_inputs(cache, read_kept(cache.parent).input)


def golden_picture(stored: np.ndarray, model: ModelManifest) -> np.ndarray:
    """The picture (C, H, W) uint8 at the model's size, as float32 (1, C, H, W) in [-1, 1]."""
    size = (model.inputs[0].shape[1], model.inputs[0].shape[2])
    values = from_stored(stored)
    if values.shape[1:] != size:
        pixels = resize_image(to_pixels(values), *size, bilinear=True)
        values = to_float(pixels, len(values))
    return values[None]


def write_model(
    folder: Path,
    identity: str,
    name: str,
    path: Path,
    model: ModelManifest,
    golden_input: np.ndarray,
) -> BundledModel:
    """Fills a model's folder; `golden_input` is (1, C, H, W) in [-1, 1] made of whole 8-bit levels."""
    golden_output = run_artefact(path, model.inputs[0].layout, golden_input)
    claim(folder / "model.tflite", model.sha256)
    shutil.copyfile(path, folder / "model.tflite")
    check_sha256(folder / "model.tflite", model.sha256)
    for part, values in (("input", golden_input[0]), ("output", golden_output[0])):
        nhwc = np.ascontiguousarray(values.transpose(1, 2, 0)).astype("<f4")
        write_atomic(folder / "golden" / f"{part}.f32", nhwc.tobytes())
        write_image(folder / "golden" / f"{part}.png", to_pixels(values))
    values = model.model_dump(mode="json")
    values.update(id=identity, title=f"{name} {model.role} {model.precision}", file="model.tflite")
    values["files"] = {"model.tflite": {"sha256": model.sha256, "bytes": model.bytes}}
    values["parent"] = bundled_id(name, "teacher", "fp32") if model.role == "student" else None
    values["golden"] = Golden(
        input="golden/input.f32",
        output="golden/output.f32",
        picture="golden/input.png",
        input_sha256=sha256_file(folder / "golden/input.f32"),
        output_sha256=sha256_file(folder / "golden/output.f32"),
        max_mean_abs=GOLDEN_TOLERANCE[model.precision],
    ).model_dump(mode="json")
    bundled = BundledModel.model_validate(values)
    write_json(folder / "model.json", bundled.model_dump(mode="json"))
    return bundled


def write_samples(folder: Path, name: str, stored: np.ndarray) -> list[str]:
    """A few of the run's validation pictures for people to try; returns their names."""
    names = [f"{name}_{index}.jpg" for index in range(min(SAMPLES, len(stored)))]
    for index, file in enumerate(names):
        write_image(folder / file, to_pixels(from_stored(stored[index])))
    return names


def write_index(assets: Path, models: Sequence[str], samples: Sequence[str]) -> None:
    """models/index.json: what it listed and what was bundled since, in that order, as far as it is there and whole."""
    path = assets / INDEX
    known = manifest_values(assets, INDEX.as_posix())
    known = known if index_files(known) else {"models": [], "samples": []}
    models = list(dict.fromkeys([*known["models"], *models]))
    named = sorted({*known["samples"], *(f"samples/{name}" for name in samples)})
    write_json(
        path,
        {
            "schema_version": 1,
            "models": [each for each in models if is_finished(assets / "models" / each)],
            "samples": [each for each in named if (assets / each).is_file()],
        },
    )


def is_finished(folder: Path) -> bool:
    """Whether a bundled model's manifest and every file that it lists are there."""
    if manifest_files(folder, LAYOUTS["model"]) is None:
        return False
    return all((folder / file).is_file() for file in owned_files(folder, "model"))
