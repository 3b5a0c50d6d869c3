"""Whole tasks, one command each: a teacher is trained (or given), compressed by search, exported, benched, reported.

python -m edgegan.benchmarks.studies.tasks pix2pix --data FOLDER: finished stages are kept when it is run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edgegan.console import emit, format_duration


@dataclass(frozen=True)
class Task:
    """Its recipe, and where its pictures lie below its data folder; `trained`: its teacher is trained first."""

    recipe: str
    train: str
    target: str | None
    validation: str
    validation_target: str | None
    trained: bool = True


TASKS = {
    "pix2pix": Task("pix2pix_cpu", "train/label", "train/photo", "val/label", "val/photo"),
    "gaugan": Task("gaugan_cpu", "train/label", "train/photo", "val/label", "val/photo"),
    "cyclegan": Task("cyclegan_cpu", "train/photo", "painting", "val/photo", "painting"),
    "cartoongan": Task("cartoongan_search", "train/photo", None, "val/photo", None, trained=False),
}


def main() -> None:
    """Runs the stages of a task, and prints how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument(
        "--data", type=Path, required=True, help="holds " + ", ".join(sorted(layouts()))
    )
    parser.add_argument(
        "--target", type=Path, help="folder of the other domain's pictures (cyclegan)"
    )
    parser.add_argument("--teacher", type=Path, help="checkpoint or package; none is trained then")
    parser.add_argument("--quick", action="store_true", help="the recipe of minutes")
    parser.add_argument("--output", type=Path, default=Path("runs"))
    given = parser.parse_args()
    task = TASKS[given.task]
    if given.teacher is None and not task.trained:
        parser.error(f"{given.task} starts from a trained teacher: give --teacher CHECKPOINT")
    recipe = f"{given.task}_quick" if given.quick else task.recipe
    places = {
        "--data": given.data / task.train,
        "--target": given.target or (given.data / task.target if task.target else None),
        "--validation": given.data / task.validation,
        "--validation-target": given.target
        or (given.data / task.validation_target if task.validation_target else None),
    }
    data = [part for option, path in places.items() if path for part in (option, str(path))]
    teacher, run = given.output / f"{recipe}_teacher", given.output / recipe
    began = time.monotonic()
    if given.teacher is None:
        edgegan("train", recipe, "-o", str(teacher), *data)
    source = given.teacher or teacher / "teacher"
    edgegan("compress", recipe, "--teacher", str(source), *data, "-o", str(run))
    edgegan("export", str(run), "--force")
    edgegan("bench", str(run), "--seconds", "2")
    edgegan("report", str(run))
    emit(f"{given.task}: {format_duration(time.monotonic() - began)} in all, {run}/report.html")


def layouts() -> set[str]:
    """Folders below the data folder that some task reads."""
    return {
        place
        for task in TASKS.values()
        for place in (task.train, task.target, task.validation)
        if place is not None
    }


def edgegan(*arguments: str) -> None:
    """One command; ends the script when it fails."""
    began = time.monotonic()
    code = subprocess.call([sys.executable, "-m", "edgegan", *arguments])
    if code:
        sys.exit(code)
    emit(f"== {arguments[0]}: {format_duration(time.monotonic() - began)}")


if __name__ == "__main__":
    main()
