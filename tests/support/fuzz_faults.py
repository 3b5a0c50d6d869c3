"""Every n-th write, sync, rename, mkdir, removal and allocation of each command fails, or the process dies there.

Afterwards the same command, undisturbed, ends as if nothing had been: the same files by sha256, nothing left over,
nothing listed that is not whole. `python tests/support/fuzz_faults.py [--most N]` tries N of each command, default all.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgegan.artefact import exported_models
from edgegan.export.bundle import is_finished
from edgegan.files import sha256_file
from support.alone import start, stop_server
from support.commands import compress_arguments, edgegan, make_pictures
from support.faulty import KILLED, call_broken, call_counted

CHANGING = (
    "checkpoint.pt",
    "run.json",
    "export.json",
    "report.html",
    "report.md",
    "report.json",
    ".edgegan",
)
NOTE = "weeks of work"


@dataclass(frozen=True)
class World:
    """What the commands are given; tests only read it."""

    checkpoint: Path
    pictures: Path
    package: Path
    run: Path


@dataclass(frozen=True)
class Subject:
    """A command, with what is there before it and where it writes; all of it below one new folder."""

    prepare: Callable[[World, Path], None]
    arguments: Callable[[World, Path], list[object]]


def nothing(_world: World, _place: Path) -> None:
    """An empty folder."""


def copy_run(world: World, place: Path) -> None:
    """A finished run."""
    shutil.copytree(world.run, place / "run")


def copy_package(world: World, place: Path) -> None:
    """A package that holds a file of the user's."""
    shutil.copytree(world.package, place / "package")
    (place / "package/notes.txt").write_text(NOTE)


def copy_old_run(world: World, place: Path) -> None:
    """A finished run that holds a file of the user's."""
    copy_run(world, place)
    (place / "run/stages/notes.txt").write_text(NOTE)


def import_to(world: World, folder: Path, *more: str) -> list[object]:
    """An import."""
    return ["import", world.checkpoint, "--size", "32", "-o", folder, *more]


def tiny_compress(world: World, run: Path, *more: str) -> list[object]:
    """A compress of a second."""
    return [
        *compress_arguments(world.checkpoint, world.pictures, run, "distill.steps=4"),
        *("--set", "distill.checkpoint_seconds=0.001", *more),
    ]


SUBJECTS = {
    "import": Subject(nothing, lambda w, p: import_to(w, p / "package")),
    "import --overwrite": Subject(
        copy_package, lambda w, p: import_to(w, p / "package", "--overwrite")
    ),
    "compress": Subject(nothing, lambda w, p: tiny_compress(w, p / "run")),
    "compress --overwrite": Subject(
        copy_old_run, lambda w, p: tiny_compress(w, p / "run", "--overwrite")
    ),
    "export": Subject(
        nothing,
        lambda w, p: [
            *("export", w.package, "--target", "onnx", "--precision", "fp32", "-o", p / "export")
        ],
    ),
    "bench": Subject(
        nothing,
        lambda w, p: [
            *("bench", w.run / "export/student_int8.tflite", "--seconds", "0.1", "--no-peak"),
            *("-o", p / "bench"),
        ],
    ),
    "report": Subject(copy_run, lambda _, p: ["report", p / "run"]),
    "bundle": Subject(nothing, lambda w, p: ["bundle", w.run, "--into", p, "--overwrite"]),
    "run": Subject(
        nothing,  # on one thread: sums of several may differ in the last bit
        lambda w, p: ["run", w.package, w.pictures, "-o", p / "out", "--threads", "1"],
    ),
}


def contents(place: Path) -> dict[str, str]:
    """Every file with its hash; of those that hold times only that they are there."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        changes = path.name in CHANGING or path.suffix == ".log" or "bench" in path.parts
        if path.is_file():
            found[name] = "" if changes else sha256_file(path)
    return found


def unfinished(place: Path) -> list[str]:
    """What indexes and manifests list that is not there and whole."""
    wrong = []
    for index in place.rglob("models/index.json"):
        listed = json.loads(index.read_text())["models"]
        wrong += [name for name in listed if not is_finished(index.parent / name)]
    for export in place.rglob("export.json"):
        exported_models(export.parent)
    return wrong


@dataclass
class Trial:
    """One command in one world, broken again and again."""

    name: str
    world: World
    work: Path

    def place(self, name: str) -> Path:
        """A new folder in which the command finds what it needs."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        SUBJECTS[self.name].prepare(self.world, folder)
        return folder

    def break_at(self, place: Path, operation: str, number: int, *, kill: bool) -> tuple[int, str]:
        """Runs it with a broken call; returns the exit code and what it said."""
        log = self.work / "log"
        words = [*map(str, SUBJECTS[self.name].arguments(self.world, place))]
        process = start(call_broken, operation, number, kill, words, output=log)
        process.join(120)
        assert process.exitcode is not None, f"{self.name}: no end"
        return process.exitcode, log.read_text(errors="replace")

    def undisturbed(self) -> tuple[dict[str, str], dict[str, int]]:
        """What the command makes when nothing fails, and how many calls of each operation that takes."""
        place, counts = self.place("whole"), self.work / "counts.json"
        words = [*map(str, SUBJECTS[self.name].arguments(self.world, place))]
        process = start(call_counted, str(counts), words, output=self.work / "log")
        process.join(120)
        assert process.exitcode == 0, (self.work / "log").read_text(errors="replace")
        return contents(place), json.loads(counts.read_text())

    def problem(
        self, wanted: dict[str, str], operation: str, number: int, *, kill: bool
    ) -> str | None:
        """What is wrong after a broken call and the same command again, or None."""
        place = self.place("broken")
        code, said = self.break_at(place, operation, number, kill=kill)
        if code not in ((KILLED,) if kill else (0, 2, 3, 4)) or "Traceback" in said:
            return f"exit {code}: {said[-600:]}"
        if unfinished(place):
            return f"listed but not finished: {unfinished(place)}"
        words = SUBJECTS[self.name].arguments(self.world, place)
        again = edgegan(*words, check=False)
        if again.returncode == 2 and "add --overwrite" in again.stderr:
            again = edgegan(*words, "--overwrite", check=False)
        if again.returncode != 0:
            return f"again, exit {again.returncode}: {again.stderr[-600:]}"
        found = contents(place)
        wrong = {name for name in {*found, *wanted} if found.get(name) != wanted.get(name)}
        return f"differs: {sorted(wrong)[:6]}" if wrong else None


def trials(trial: Trial, most: int | None, seed: int) -> Iterator[tuple[str, str | None]]:
    """Each try of a command as (what was broken, what is wrong); at most `most`, drawn."""
    wanted, counts = trial.undisturbed()
    every = [
        (operation, number, kill)
        for operation, total in counts.items()
        for number in range(1, total + 1)
        for kill in ((False, True) if operation != "allocation" else (False,))
    ]
    if most is not None and len(every) > most:
        every = random.Random(f"{trial.name}:{seed}").sample(every, most)
    for operation, number, kill in every:
        how = "killed at" if kill else "failing"
        found = trial.problem(wanted, operation, number, kill=kill)
        yield f"{trial.name}: {how} {operation} {number} of {counts[operation]}", found


def make_world(folder: Path) -> World:
    """A checkpoint, pictures, a package and a finished run, all tiny."""
    import torch

    from edgegan.models.resnet.keymap import namer
    from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec

    torch.manual_seed(0)
    public = namer(blocks=3, second=5)
    state = ResnetGenerator(ResnetSpec.from_ngf(16, 3)).state_dict()
    torch.save({public(key): value for key, value in state.items()}, folder / "net_G.pth")
    make_pictures(folder / "pictures", 4)
    world = World(folder / "net_G.pth", folder / "pictures", folder / "package", folder / "run")
    edgegan(*import_to(world, world.package))
    edgegan(*compress_arguments(world.checkpoint, world.pictures, world.run))
    edgegan("export", world.run, "--target", "tflite", "--which", "student")
    edgegan("bench", world.run, "--seconds", "0.1")
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, help="tries of each command, drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SUBJECTS, help="one command")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="edgegan-faults-") as work:
        world = make_world(Path(work))
        for name in [options.only] if options.only else SUBJECTS:
            tried = 0
            for what, problem in trials(
                Trial(name, world, Path(work, "tries")), options.most, options.seed
            ):
                tried += 1
                if problem:
                    wrong += 1
                    sys.stdout.write(f"WRONG {what}: {problem}\n")
            sys.stdout.write(f"{name}: {tried} faults tried\n")
            sys.stdout.flush()
    stop_server()
    sys.stdout.write(f"{wrong} wrong\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
