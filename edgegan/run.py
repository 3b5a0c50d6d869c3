"""The run directory: a resolved recipe, a ledger of finished stages, and one writer at a time."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from edgegan import __version__
from edgegan.contracts.run_schema import RunManifest
from edgegan.distributed import is_main, rank, share, wait
from edgegan.errors import EdgeGANError, InputError, OutputError, first_problem
from edgegan.files import (
    make_folder,
    read_json,
    sha256_bytes,
    sha256_file,
    write_atomic,
    write_json,
)
from edgegan.ownership.folders import discard, held
from edgegan.ownership.journal import claim
from edgegan.package import is_package
from edgegan.recipe.schema import Recipe

MANIFEST = "run.json"
SCHEMA_VERSION = 1
STUDENT = "student"  # the stage that makes the student, whatever the method
FORMER_STUDENT = "distill"  # its name in runs of earlier versions


def environment() -> dict[str, Any]:
    """What a figure depends on: processor, cores, system, versions."""
    import importlib.metadata as metadata

    versions = {}
    for name in (
        "torch",
        "onnx",
        "onnxruntime",
        "litert-torch",
        "ai-edge-litert",
        "ai-edge-quantizer",
        "numpy",
    ):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor_name(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "edgegan": __version__,
        "versions": versions,
    }


def processor_name() -> str:
    """The processor's own name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def now() -> str:
    """The current time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def command_line() -> str:
    """The command as typed, so that a record can be made again."""
    return shlex.join(["edgegan", *sys.argv[1:]])


@dataclass
class Stage:
    """One stage of a run while it is worked on: what `Run.stage` gives to its body.

    `todo` is False where the stage is done already; `stale` is True where an earlier result does not hold any more.
    """

    name: str
    place: Path
    todo: bool
    stale: bool
    files: list[Path] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        return make_folder(self.place)

    def wrote(self, *paths: Path) -> None:
        """Files that belong to the result; the ledger keeps their hashes."""
        self.files += paths

    def note(self, **figures: Any) -> None:
        """Figures worth keeping."""
        self.figures |= figures


class Run:
    """One run directory. Stages are recorded with the hash of their inputs and of every file they wrote."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

    @staticmethod
    def open(folder: Path) -> Run:
        """An existing run, to read; raises InputError when the folder is none."""
        if not (folder / MANIFEST).is_file():
            raise InputError(
                f"{folder} is not a run (no {MANIFEST}); make one with: edgegan compress RECIPE -o {folder}"
            )
        manifest = read_manifest(folder)
        if manifest.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"{folder / MANIFEST} has schema version {manifest.get('schema_version')}, "
                f"this edgegan reads {SCHEMA_VERSION}"
            )
        return Run(folder, manifest)

    @staticmethod
    def start(folder: Path, recipe: Recipe, *, overwrite: bool) -> Run:
        """A new run, or the one to resume when the folder holds the same recipe; raises OutputError otherwise."""
        if not is_main():
            wait()
            return Run.open(folder)
        run = Run.start_alone(folder, recipe, overwrite=overwrite)
        wait()
        return run

    @staticmethod
    def start_alone(folder: Path, recipe: Recipe, *, overwrite: bool) -> Run:
        """`start` in the process that writes."""
        with held(folder, "run", overwrite=overwrite, inputs=paths_in(recipe.model_dump())):
            return Run.start_held(folder, recipe.model_dump(mode="json"))

    @staticmethod
    def start_held(folder: Path, resolved: dict[str, Any]) -> Run:
        """A new run, or the one to resume, in a folder that is held."""
        if (folder / MANIFEST).is_file():
            run = Run.open(folder)
            changed = differing_keys(with_new_keys(run.manifest["recipe"]), resolved)
            if changed:
                raise OutputError(
                    f"{folder} holds a run of another recipe ({', '.join(changed[:4])} differ); "
                    "add --overwrite to start again or choose another with -o"
                )
            if not (folder / "recipe.yaml").is_file():
                run.save_recipe()
            return run
        text = recipe_text(resolved)
        run = Run(
            folder,
            {
                "schema_version": SCHEMA_VERSION,
                "recipe": resolved,
                "command": command_line(),
                "created": now(),
                "environment": environment(),
                "files": {"recipe.yaml": {"sha256": sha256_bytes(text), "bytes": len(text)}},
                "stages": {},
            },
        )
        run.save()
        run.save_recipe()
        return run

    @staticmethod
    @contextmanager
    def discarded_on_error(folder: Path) -> Iterator[None]:
        """Removes a run that was new and whose first stage was refused, so that a mended command starts clean."""
        existed = folder.exists()
        try:
            yield
        except EdgeGANError:
            if not existed and (folder / MANIFEST).is_file():
                stages = set(read_json(folder / MANIFEST)["stages"]) - {"import"}
                if not stages and not any((folder / "stages").rglob("*.progress.json")):
                    discard(folder, "run")
            raise

    def save(self) -> None:
        """Writes run.json."""
        write_json(self.folder / MANIFEST, self.manifest)

    def save_recipe(self) -> None:
        """Writes recipe.yaml, the resolved recipe for people; run.json, written first, is what resuming reads."""
        write_atomic(self.folder / "recipe.yaml", recipe_text(self.manifest["recipe"]))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for writing; raises OutputError when another edgegan does. A killed process lets go.

        Of several processes of one run the first holds it for all.
        """
        if not is_main():
            wait()
            self.manifest = read_manifest(self.folder)
            yield
            return
        recipe = self.manifest["recipe"]
        with held(self.folder, "run"):
            wait()
            self.manifest = read_manifest(self.folder)
            if self.manifest["recipe"] != recipe:
                raise OutputError(
                    f"{self.folder} was begun anew by another edgegan; choose another with -o"
                )
            yield

    def take_over(self, other: Run, stages: Iterable[str]) -> None:
        """Finished stages of another run as its own, by hard links; the ledger goes on checking their hashes."""
        with self.locked():
            for name in stages:
                entry = other.manifest["stages"][name]
                for relative in entry["outputs"]:
                    claim(self.folder / relative)
                    os.link(other.folder / relative, self.folder / relative)
                self.manifest["stages"][name] = entry
            self.save()

    def stage_folder(self, name: str) -> Path:
        """Where a stage keeps its files."""
        return make_folder(self.folder / "stages" / name)

    def is_done(self, name: str, inputs: str) -> bool:
        """Whether a stage finished with these inputs and its files are still what it wrote."""
        entry = self.manifest["stages"].get(name)
        if entry is None or entry["inputs"] != inputs:
            return False
        for relative, sha256 in entry["outputs"].items():
            path = self.folder / relative
            if not path.is_file() or sha256_file(path) != sha256:
                return False
        return True

    @contextmanager
    def stage(self, name: str, inputs: str) -> Iterator[Stage]:
        """The body of one stage, recorded when it ends: its inputs' hash, its files' hashes, seconds, figures.

        The body works where `todo` is True; nothing is recorded of one that was done, or that an exception ended.
        Several processes meet here: the first decides and records, the others read what it did.
        """
        done = share({rank(): self.is_done(name, inputs)})[0]
        known = name in self.manifest["stages"]
        place = self.folder / "stages" / name
        stage = Stage(name, place, todo=not done, stale=known and not done)
        started = time.monotonic()
        yield stage
        if stage.todo:
            self.record(stage, inputs, round(time.monotonic() - started, 1))

    def record(self, stage: Stage, inputs: str, duration_s: float) -> None:
        """Writes a finished stage into the ledger."""
        if not is_main():
            wait()
            self.manifest = read_manifest(self.folder)
            return
        hashes = {str(path.relative_to(self.folder)): sha256_file(path) for path in stage.files}
        self.manifest["stages"][stage.name] = {
            "inputs": inputs,
            "outputs": hashes,
            "finished": now(),
            "duration_s": duration_s,
            "figures": stage.figures,
        }
        self.save()
        wait()

    def figures(self, name: str) -> dict[str, Any]:
        """Figures a finished stage recorded."""
        return self.manifest["stages"].get(name, {}).get("figures", {})

    def student_figures(self) -> dict[str, Any]:
        """Figures of the finished student; raises InputError where there is none yet."""
        if STUDENT not in self.manifest["stages"]:
            raise InputError(
                f"{self.folder} has no finished student; run the same edgegan compress command again to finish it"
            )
        return self.figures(STUDENT)


def recipe_text(recipe: dict[str, Any]) -> bytes:
    """What recipe.yaml holds."""
    return yaml.safe_dump(recipe, sort_keys=False).encode()


def paths_in(values: Any) -> list[Path]:
    """Every path that a recipe names."""
    if isinstance(values, dict):
        return [path for value in values.values() for path in paths_in(value)]
    if isinstance(values, (list, tuple)):
        return [path for value in values for path in paths_in(value)]
    named = isinstance(values, Path) or (isinstance(values, str) and values.endswith(".json"))
    return [Path(values)] if named else []


def read_manifest(folder: Path) -> dict[str, Any]:
    """A checked run.json. The stage that runs made before call "distill" is read as "student"."""
    manifest = read_json(folder / MANIFEST)
    check_manifest(manifest, folder / MANIFEST)
    stages = manifest["stages"]
    if FORMER_STUDENT in stages and STUDENT not in stages:
        stages[STUDENT] = stages.pop(FORMER_STUDENT)
    return dict(manifest)


def check_manifest(manifest: Any, path: Path) -> None:
    """Raises InputError naming the first part of a run.json that is not what edgegan writes."""
    wrong = None
    if not isinstance(manifest, dict):
        wrong = "the file"
    else:
        kinds = {"recipe": dict, "stages": dict, "command": str, "environment": dict}
        lacking = [key for key, kind in kinds.items() if not isinstance(manifest.get(key), kind)]
        wrong = f"'{lacking[0]}'" if lacking else None
    if wrong is None:
        for name, entry in manifest["stages"].items():
            good = isinstance(entry, dict) and isinstance(entry.get("outputs"), dict)
            if not (good and isinstance(entry.get("figures"), dict) and "inputs" in entry):
                wrong = f"'stages.{name}'"
    if wrong is None:
        try:
            RunManifest.model_validate(manifest)
        except ValidationError as error:
            wrong = f"'{first_problem(error)}'"
    if wrong is not None:
        raise InputError(
            f"{path} is damaged: {wrong} is not what edgegan writes; make the run again with --overwrite"
        )


def with_new_keys(recipe: dict[str, Any]) -> dict[str, Any]:
    """A run's recipe with the keys that came since it was made, at their defaults; as it is where it does not parse."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe


def differing_keys(a: Any, b: Any, prefix: str = "") -> list[str]:
    """Dotted keys at which two nested dictionaries differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [*a, *(key for key in b if key not in a)]
        return [
            found
            for key in keys
            for found in differing_keys(a.get(key), b.get(key), f"{prefix}{key}.")
        ]
    return [] if a == b else [prefix.rstrip(".")]


def package_of(source: Path) -> Path | None:
    """The package folder behind a run or package; None for an artefact file or a folder of pictures."""
    if (source / MANIFEST).is_file():
        return source / "student"
    return source if is_package(source) else None
