"""`edgegan quickstart`: the whole job on embedded data: teach, compress, export, bench, report, bundle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from edgegan.artefact import PRECISIONS, TARGETS
from edgegan.benchmarks.bench import bench
from edgegan.benchmarks.report import report
from edgegan.benchmarks.reporting.headline import Headline
from edgegan.compress.embedded import train_teacher
from edgegan.compress.pipeline import compress
from edgegan.console import format_duration, say
from edgegan.data.procedural import write_dataset
from edgegan.export.bundle import ASSETS, Choice, bundle_run
from edgegan.export.exporter import export
from edgegan.files import clear_folder, make_folder, read_json, sha256_json, write_json
from edgegan.package import is_package
from edgegan.recipe.loading import load_recipe

MARKER = "quickstart.json"


@dataclass(frozen=True)
class Plan:
    """How much of everything; the shipped figures keep the whole job under five minutes on two cores."""

    size: int = 96
    train_images: int = 320
    validation_images: int = 16
    teacher_ngf: int = 24
    teacher_blocks: int = 6
    teacher_steps: int = 420
    teacher_batch: int = 4
    student_steps: int = 500
    bench_seconds: float = 1.0


BRIEF = Plan(train_images=160, teacher_steps=160, student_steps=160)


def quickstart(
    folder: Path, *, app: Path | None, plan: Plan, overwrite: bool = False
) -> tuple[Path, dict[str, list[Headline]]]:
    """Runs the path in `folder`; what is finished is kept when it is run again.

    Returns the report's path and its headline.
    """
    began = time.monotonic()
    run = teach_and_compress(folder, plan, overwrite=overwrite)
    say("3 exporting and proving: edgegan export")
    export(run, None, list(TARGETS), list(PRECISIONS))
    say("4 measuring: edgegan bench")
    bench(run, None, threads=[1], seconds=plan.bench_seconds)
    say("5 reporting: edgegan report")
    path, headlines = report([run])
    if app is not None:
        say(f"6 bundling for Android: edgegan bundle --target android --into {app}")
        files = bundle_run(run, "android", app, Choice(), overwrite=True)
        say(f"  {len(files)} files in {app / ASSETS / 'models'}")
    say(f"done in {format_duration(time.monotonic() - began)}")
    return path, headlines


def quickstart_brief(folder: Path, *, overwrite: bool = False) -> Path:
    """Only what an app needs, from fewer steps: student in int8 and fp32 and teacher as .tflite. Returns the run."""
    began = time.monotonic()
    run = teach_and_compress(folder, BRIEF, overwrite=overwrite)
    say("3 exporting and proving: edgegan export")
    export(run, None, ["tflite"], ["fp32", "int8"], which="student")
    export(run, None, ["tflite"], ["fp32"], which="teacher")
    say(f"done in {format_duration(time.monotonic() - began)}")
    return run


def teach_and_compress(folder: Path, plan: Plan, *, overwrite: bool) -> Path:
    """Draws the data, trains the teacher, distils the student; returns the run."""
    if overwrite:
        clear_folder(folder, MARKER)
    make_folder(folder)
    made = sha256_json(plan.__dict__)
    if (folder / MARKER).is_file() and read_json(folder / MARKER).get("plan") != made:
        clear_folder(folder, MARKER)
    write_json(folder / MARKER, {"plan": made})
    say("1 drawing the embedded task and training a teacher on it")
    train = write_dataset(folder / "data/train", plan.train_images, plan.size, 0)
    write_dataset(folder / "data/validation", plan.validation_images, plan.size, 500_000)
    teacher = folder / "teacher"
    if not is_package(teacher):
        targets = [folder / "data/train_target" / path.name for path in train]
        train_teacher(
            teacher,
            train,
            targets,
            ngf=plan.teacher_ngf,
            blocks=plan.teacher_blocks,
            steps=plan.teacher_steps,
            batch=plan.teacher_batch,
            seed=0,
        )
    say("2 compressing: edgegan compress quickstart")
    settings = {
        "teacher": str(teacher.resolve()),
        "data.train": str((folder / "data/train").resolve()),
        "data.validation": str((folder / "data/validation").resolve()),
        "data.size": [plan.size, plan.size],
        "data.crops": plan.train_images,
        "distill.steps": plan.student_steps,
    }
    recipe = load_recipe(
        "quickstart", [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    )
    run = folder / "run"
    compress(recipe, run)
    return run
