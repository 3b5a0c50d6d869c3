"""What each kind of folder that edgegan writes holds, as far as its manifest tells: what `folders.py` goes by.

Manifests are read here only for whose files are whose; what they mean is checked where they are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgegan.ownership.journal import Listed, is_inside

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Layout:
    """One kind of folder. `listed` gives the files of a manifest, or None for one that is not of this kind.

    `names` are what folders of versions that kept no list hold beside that (`proof` looks into such a file), `parts`
    what unfinished ones hold; `working` are beginnings of paths whose hashes tell nothing; `inside` are folders of ours
    in it, each with its kind; `rooms` are folders in which ours may be empty.
    """

    title: str
    manifest: str = ""
    listed: Callable[[Any], Listed | None] = lambda _: None
    names: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    proof: Callable[[Any], bool] | None = None
    working: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    rooms: tuple[str, ...] = ()


def has(values: Any, **kinds: type) -> bool:
    """Whether values are a dictionary with these keys of these kinds."""
    return isinstance(values, dict) and all(isinstance(values.get(k), t) for k, t in kinds.items())


def hashed(files: Any) -> Listed | None:
    """{path: {"sha256": ...}} as files with their hashes; None where one lies outside or has no hash."""
    found: Listed = {}
    for path, about in files.items() if isinstance(files, dict) else ():
        if not (has(about, sha256=str) and SHA256.fullmatch(about["sha256"]) and is_inside(path)):
            return None
        found[path] = {about["sha256"]}
    return found


def package_files(values: Any) -> Listed | None:
    """config.json of a generator package."""
    known = has(values, schema_version=int, family=str, spec=dict, files=dict, parameters=int)
    files = hashed(values["files"]) if known else None
    return files if files is None else {**files, "config.json": None}


def model_files(values: Any) -> Listed | None:
    """model.json of a bundled model."""
    if not has(values, id=str, files=dict, golden=dict, inputs=list):
        return None
    golden, files = values["golden"], hashed(values["files"])
    parts = {golden.get(key): golden.get(f"{key}_sha256") for key in ("input", "output", "picture")}
    if files is None or not all(isinstance(path, str) and is_inside(path) for path in parts):
        return None
    pictures = dict.fromkeys(("golden/input.png", "golden/output.png"))
    told: Listed = {str(path): {sha256} if sha256 else None for path, sha256 in parts.items()}
    return {**pictures, **files, **told, "model.json": None}


def run_files(values: Any) -> Listed | None:
    """run.json: what finished stages wrote. Their packages tell their own files."""
    if not has(values, recipe=dict, stages=dict, command=str, environment=dict):
        return None
    found: Listed = {"run.json": None, "recipe.yaml": None, **(hashed(values.get("files")) or {})}
    for stage in values["stages"].values():
        if not has(stage, outputs=dict):
            return None
        found.update({path: None for path in stage["outputs"] if path.startswith("stages/")})
    return found if all(map(is_inside, found)) else None


def export_files(values: Any) -> Listed | None:
    """export.json: every artefact with its files and the model.json beside it."""
    if not has(values, schema_version=int, artefacts=dict):
        return None
    found: Listed = {"export.json": None}
    for name, about in values["artefacts"].items():
        files = hashed(about.get("files") or {name: about}) if isinstance(about, dict) else None
        if files is None or not is_inside(name):
            return None
        found.update(files)
        found[f"{name}.model.json"] = None
    return found


def index_files(values: Any) -> Listed | None:
    """models/index.json of an app or page: samples and licences; each model tells its own files."""
    if not has(values, schema_version=int, models=list, samples=list):
        return None
    paths = [*values["samples"], *(f"licenses/{model}.txt" for model in values["models"])]
    if not all(isinstance(path, str) and is_inside(path) for path in paths):
        return None
    return {"models/index.json": None, **dict.fromkeys(paths)}


def quickstart_files(values: Any) -> Listed | None:
    """quickstart.json."""
    known = has(values, plan=str) and SHA256.fullmatch(values["plan"])
    return {"quickstart.json": None} if known else None


def compare_files(values: Any) -> Listed | None:
    """compare.json."""
    known = has(values, schema_version=int, recipe=dict, entries=list, summary=dict)
    return {"compare.json": None} if known else None


def dataset_files(values: Any) -> Listed | None:
    """dataset.json of a prepared data set; its pictures are listed as they are written."""
    known = has(values, schema_version=int, data_set=str, key=str, counts=dict)
    return {"dataset.json": None} if known and SHA256.fullmatch(values["key"]) else None


def is_record(values: Any) -> bool:
    """Whether a file is a bench record."""
    return has(values, artefact=str, sha256=str, device=str, environment=dict, command=str)


def is_report(values: Any) -> bool:
    """Whether a file is the JSON of a report."""
    return has(values, schema_version=int, written=str, runs=list, comparison=list)


WORKING_FILES = (
    *("checkpoint.pt", "checked.json", "cache.json", "search.jsonl", "*.progress.json"),
    *(f"*{name}.npy" for name in ("_input", "_output", "_truth", "_real", "tap[0-9]*")),
)
SCRIPTS = ("app", "camera", "card", "pixels", "runner", "sha256", "slider", "tiles", "worker")
PAGE = (
    *(f"{name}.js" for name in SCRIPTS),
    *("style.css", "index.html", "icon.svg", "page.webmanifest", "files.json"),
    *("vendor/litertjs/index.js", "vendor/litertjs/wasm-utils.js", "vendor/litertjs/litert_wasm*"),
)
LAYOUTS = {
    "package": Layout(
        "a generator package",
        "config.json",
        package_files,
        parts=(
            *("model.safetensors", "golden.safetensors", "discriminator.safetensors"),
            *("origins.json", "README.md"),
        ),
    ),
    "model": Layout(
        "a bundled model", "model.json", model_files, parts=("model.tflite", "golden/*put.*")
    ),
    "run": Layout(
        "a run",
        "run.json",
        run_files,
        (
            *("metrics.jsonl", "evaluate.json", "report.html", "report.md", "report.json"),
            *("samples/step[0-9]*.png", "stages/predictor/samples/calibration/*.png"),
            *(f"stages/*/{name}" for name in WORKING_FILES),
            "stages/checked.json",
        ),
        working=("stages/", "metrics.jsonl", "run.json"),
        inside=(
            *((name, "package") for name in ("teacher", "teacher_BtoA", "student")),
            *(("export", "export"), ("bench", "bench"), ("web", "page")),
            ("stages/predictor/samples/*/package", "package"),
            ("stages/predictor/samples/*/export", "export"),
        ),
        rooms=("stages",),
    ),
    "export": Layout(
        "an export",
        "export.json",
        export_files,
        ("logs/*.log", "*.sensitivity.csv"),
        working=("logs/", "export.json"),
        inside=(("bench", "bench"),),
    ),
    "bench": Layout("a folder of bench records", names=("*__*.json",), proof=is_record),
    "quickstart": Layout(
        "a quickstart",
        "quickstart.json",
        quickstart_files,
        ("data/*/scene[0-9]*[0-9].png",),
        inside=(("training", "run"), ("run", "run")),
    ),
    "compare": Layout(
        "a comparison",
        "compare.json",
        compare_files,
        ("compare.md", "compare.svg", "runs/*_seed*.json"),
        inside=(("teacher", "package"), ("runs/*", "run")),
    ),
    "dataset": Layout("a data set", "dataset.json", dataset_files),
    "assets": Layout(
        "an app's models", "models/index.json", index_files, inside=(("models/*", "model"),)
    ),
    "page": Layout(
        "a web page",
        "models/index.json",
        index_files,
        (*PAGE, "licenses/LiteRT.txt", "licenses/Apache-2.0.txt"),
        inside=(("models/*", "model"),),
    ),
}
