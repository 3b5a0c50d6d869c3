"""`edgegan quickstart`: the whole job on embedded data: teach, compress, export, bench, report, bundle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegan.benchmarks.bench import bench
from edgegan.benchmarks.report import report
from edgegan.benchmarks.reporting.headline import Headline
from edgegan.compress.pipeline import compress
from edgegan.console import format_duration, say
from edgegan.data.procedural import write_dataset
from edgegan.errors import OutputError
from edgegan.export.bundle import Choice, bundle_run
from edgegan.export.bundles import ASSETS
from edgegan.export.exporter import export
from edgegan.export.policy import Int8Options
from edgegan.export.request import ExportOptions
from edgegan.export.targets import DEFAULT_TARGETS
from edgegan.files import read_json, sha256_json, write_json
from edgegan.ownership.folders import held
from edgegan.recipe.loading import load_recipe
from edgegan.recipe.schema import Recipe
from edgegan.training.teachers.train import train

MARKER, MARKER_KIND = "quickstart.json", "quickstart"


MOST_LOST_DB = 0.9  # to int8; layers that cost most stay float where it would be more


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
    student_steps: int = 650
    bench_seconds: float = 1.0


BRIEF = Plan(train_images=160, teacher_steps=160, student_steps=160)


def quickstart(
    folder: Path, *, app: Path | None, plan: Plan, overwrite: bool = False
) -> tuple[Path, dict[str, list[Headline]]]:
    """Runs the path in `folder`; what is finished is kept when it is run again.

    Returns the report's path and its headline.
    """
    began = time.monotonic()
    with held(folder, MARKER_KIND, overwrite=overwrite):
        run = teach_and_compress(folder, plan)
        say("3 exporting and proving: edgegan export")
        # without fp16: how far half precision is from fp32 differs with what was trained here
        options = ExportOptions(int8=Int8Options(max_drop_db=MOST_LOST_DB))
        export(run, None, DEFAULT_TARGETS, ("fp32", "int8"), options)
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
    with held(folder, MARKER_KIND, overwrite=overwrite):
        run = teach_and_compress(folder, BRIEF)
        say("3 exporting and proving: edgegan export")
        export(run, None, ["tflite"], ["fp32", "int8"], ExportOptions(which="student"))
        export(run, None, ["tflite"], ["fp32"], ExportOptions(which="teacher"))
    say(f"done in {format_duration(time.monotonic() - began)}")
    return run


def teach_and_compress(folder: Path, plan: Plan) -> Path:
    """Draws the data, trains the teacher, distils the student, in a folder that is held; returns the run.

    Raises OutputError when the folder holds a quickstart of another plan.
    """
    made = sha256_json(plan.__dict__)
    if (folder / MARKER).is_file() and read_json(folder / MARKER).get("plan") != made:
        raise OutputError(
            f"{folder} holds a quickstart of another plan ({MARKER}); add --overwrite to replace it or choose another "
            "with -o"
        )
    write_json(folder / MARKER, {"plan": made})
    say("1 drawing the embedded task and training a teacher on it: edgegan train drawings")
    data = folder.resolve() / "data"
    pictures = {"data.train": str(data / "train"), "data.validation": str(data / "validation")}
    write_dataset(data / "train", plan.train_images, plan.size, 0)
    write_dataset(data / "validation", plan.validation_images, plan.size, 500_000)
    targets = {
        "data.target": str(data / "train_target"),
        "data.validation_target": str(data / "validation_target"),
    }
    teacher = train(teacher_recipe(plan, {**pictures, **targets}), folder / "training")
    say("2 compressing: edgegan compress quickstart")
    settings = {
        **pictures,
        "teacher": str((teacher.folder / "teacher").resolve()),
        "data.size": [plan.size, plan.size],
        "data.crops": plan.train_images,
        "distill.steps": plan.student_steps,
    }
    run = folder / "run"
    compress(with_settings("quickstart", settings), run)
    return run


def teacher_recipe(plan: Plan, pictures: dict[str, str]) -> Recipe:
    """The shipped recipe of the teacher on these folders."""
    settings = {
        **pictures,
        "data.size": [plan.size, plan.size],
        "data.validation_images": plan.validation_images,
        "train.ngf": plan.teacher_ngf,
        "train.depth": plan.teacher_blocks,
        "train.steps": plan.teacher_steps,
        "train.batch": plan.teacher_batch,
    }
    return with_settings("drawings", settings)


def with_settings(name: str, settings: dict[str, Any]) -> Recipe:
    """A shipped recipe with keys set."""
    return load_recipe(name, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
