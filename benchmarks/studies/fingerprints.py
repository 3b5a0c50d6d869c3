"""The bytes that edgegan makes, as hashes, so that a refactoring can be shown to have changed none of them.

    python -m edgegan.benchmarks.studies.fingerprints FOLDER --data EDGEGAN_DATA -o before.json
    python -m edgegan.benchmarks.studies.fingerprints FOLDER2 --data EDGEGAN_DATA -o after.json --compare before.json

Runs the quickstart, each method of compression, two trainings of a teacher and the export of every student, small, in
float32 and with one thread, through the command line of whatever edgegan Python finds; then records the sha256 of the
weights and artefacts that each command made, and its seconds. Hashes are those of one machine and one set of library
versions: make both files on the same. Without FOLDER nothing runs, and `-o` itself is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegan.console import emit
from edgegan.files import sha256_file, write_json

LIBRARIES = ("OMP", "MKL", "OPENBLAS")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}
KEPT = (".safetensors", ".onnx", ".tflite")
NEVER_S = 1_000_000
SMALL = ("data.size=[64, 64]", "data.crops=12", "data.validation_images=4")
TINY = (
    *SMALL,
    "distill.steps=30",
    "distill.validate_every=15",
    "distill.precision=fp32",
    "distill.compile=false",
    f"distill.checkpoint_seconds={NEVER_S}",
)
SEARCH = (
    *TINY,
    "budget.macs=170000000",
    "supernet.steps=12",
    "search.images=4",
    "search.population=6",
    "search.generations=2",
    "search.check_networks=2",
    "search.check_steps=6",
    "search.finetune_steps=12",
)
PRETRAINED = (*SEARCH, "supernet.pretrain_steps=12", "supernet.sort=taylor")
SLIM = (*TINY, "slim.prune_times=4")
PAPER = (
    *TINY,
    "distill.steps=16",
    "slim.finetune_steps=4",
    "distill.batch=2",
    "student.scale=0.5",
    "budget.bytes=2500000",
)
TRAIN = (
    "train.steps=20",
    "train.precision=fp32",
    "train.compile=false",
    f"train.checkpoint_seconds={NEVER_S}",
    "train.sample_every=10",
    "data.size=[64, 64]",
    "data.validation_images=4",
)
PAIRED = ("data.kind=paired", "data.classes=null")


@dataclass(frozen=True)
class Command:
    """One command line of edgegan, and the folder in which it writes, both relative to the output folder."""

    name: str
    arguments: tuple[str, ...]
    folder: str


def options(given: dict[str, Path | str], changes: tuple[str, ...]) -> tuple[str, ...]:
    """Options with a value, then recipe keys."""
    found = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    return (*found, *(part for change in changes for part in ("--set", change)))


def plan(data: Path) -> Iterator[Command]:
    """Every command, in the order in which they build on each other."""
    photos = data / "images" / "bsds500"
    drawn = photos / "train" / "edges"
    weights = data / "weights" / "cartoongan_hayao_fp16.pth"
    pictures: dict[str, Path | str] = {
        "data": photos / "train" / "photo",
        "validation": photos / "val" / "photo",
    }
    yield Command(
        "quickstart", ("quickstart", "-o", "quickstart", "--into", "no_app"), "quickstart"
    )
    imported = ("import", str(weights), "--family", "cartoon", "-o", "cartoon")
    yield Command("import", imported, "cartoon")
    methods: dict[str, tuple[str, tuple[str, ...]]] = {
        "distill": ("cartoongan", TINY),
        "gan-compression": ("cartoongan_search", SEARCH),
        "gan-compression pretrained": ("cartoongan_search", PRETRAINED),
        "gan-slimming": ("gan_slimming", SLIM),
        "gan-slimming paper": ("gan_slimming_paper", PAPER),
    }
    for name, (recipe, changes) in methods.items():
        teacher = {"teacher": weights if name == "distill" else "cartoon"}
        yield from compress(name, recipe, {**teacher, **pictures}, changes)
    paired: dict[str, Path | str] = {"data": drawn, "target": photos / "train" / "photo"}
    yield train("pix2pix", "pix2pix_quick", paired, (*PAIRED, *TRAIN))
    yield from compress(
        "pix2pix adversarial",
        "pix2pix_quick",
        {"method": "distill", "teacher": "pix2pix/teacher", **paired},
        (*PAIRED, *TINY),
    )
    domains: dict[str, Path | str] = {
        "data": photos / "train" / "photo",
        "target": data / "images" / "kaokore256",
    }
    yield train("cyclegan", "cyclegan_quick", domains, TRAIN)


def train(
    name: str, recipe: str, given: dict[str, Path | str], changes: tuple[str, ...]
) -> Command:
    """A teacher from scratch."""
    return Command(name, ("train", recipe, "-o", name, *options(given, changes)), name)


def compress(
    name: str, recipe: str, given: dict[str, Path | str], changes: tuple[str, ...]
) -> Iterator[Command]:
    """A student, and its artefacts; the distilled run's teacher stands for the teachers of the others."""
    folder = name.replace(" ", "_")
    yield Command(name, ("compress", recipe, "-o", folder, *options(given, changes)), folder)
    which = "both" if name == "distill" else "student"
    yield Command(
        f"{name} export", ("export", folder, "--which", which, "--force"), f"{folder}/export"
    )


def made_in(folder: Path) -> list[Path]:
    """Weights of packages and artefacts below a folder, what single stages keep for themselves left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "stages" not in path.relative_to(folder).parts and path.suffix in KEPT
    )


def run(command: Command, root: Path) -> dict[str, Any]:
    """Runs a command in `root` with its output in a log there; returns seconds and the hashes of what it made."""
    log = root / "logs" / f"{command.name.replace(' ', '_')}.log"
    log.parent.mkdir(exist_ok=True)
    folder = root / command.folder
    known = set(made_in(folder))
    line = ("-m", "edgegan", *command.arguments)
    began = time.monotonic()
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, *line],
            cwd=root,
            env={**os.environ, **ONE_THREAD},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = round(time.monotonic() - began, 1)
    emit(f"{command.name}: {seconds} s, exit {done.returncode}")
    if done.returncode != 0:
        emit("  " + "\n  ".join(log.read_text(errors="replace").strip().splitlines()[-3:]))
    made = [path for path in made_in(folder) if path not in known]
    return {
        "command": " ".join(("edgegan", *command.arguments)),
        "exit": done.returncode,
        "seconds": seconds,
        "files": {str(path.relative_to(root)): sha256_file(path) for path in made},
    }


def compare(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Prints equal, differs, missing or new for each file of the commands in both; returns whether all are equal."""
    same = True
    for name, entry in new.items():
        before = old.get(name, {}).get("files", {})
        for file in sorted({*before, *entry["files"]}):
            verdict = "missing" if file not in entry["files"] else "new"
            if file in before and file in entry["files"]:
                verdict = "equal" if before[file] == entry["files"][file] else "differs"
            same = same and verdict in ("equal", "new")
            emit(f"{verdict:8} {file}")
    return same


def main() -> None:
    """Runs, records and compares; exit 1 when a command failed or a file differs or is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="new folder for all that is made")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGEGAN_DATA", "data")))
    parser.add_argument("-o", "--output", type=Path, default=Path("fingerprints.json"))
    parser.add_argument("--compare", type=Path, help="earlier fingerprints")
    parser.add_argument("--only", action="append", default=[], help="commands whose name holds it")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    if given.folder is None:
        results = json.loads(given.output.read_text())
    else:
        root = given.folder.resolve()
        if root.is_dir() and any(root.iterdir()):
            parser.error(f"{root} is not empty: what is there would not be made again")
        root.mkdir(parents=True, exist_ok=True)
        for command in plan(given.data.resolve()):
            if not given.only or any(part in command.name for part in given.only):
                results[command.name] = run(command, root)
                write_json(given.output, results)
    same = given.compare is None or compare(json.loads(given.compare.read_text()), results)
    failed = [name for name, entry in results.items() if entry["exit"] != 0]
    if failed:
        emit(f"failed: {', '.join(failed)}")
    sys.exit(0 if same and not failed else 1)


if __name__ == "__main__":
    main()
