"""`edgegan compress --dry-run`: stages, shapes, costs, what is cached, and the time from a three-step probe.

The run folder is only read. The probe calls the same stages as a real run, in a folder that is thrown away.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from edgegan.compress.pipeline import (
    make_job,
    plan_start,
    student_spec,
    train_student,
)
from edgegan.compress.teacher.examples import Examples, announce, open_examples
from edgegan.compress.teacher.outputs import cache_teacher, resolve_teacher
from edgegan.console import format_duration, say
from edgegan.errors import OutputError
from edgegan.files import read_json
from edgegan.metrics.complexity import Complexity, format_macs, measure
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import build, load_generator
from edgegan.package import input_shape, is_package, read_config
from edgegan.recipe.schema import Recipe
from edgegan.run import MANIFEST, Run, differing_keys
from edgegan.training.loop import read_metrics
from edgegan.training.speed import choose_device

PROBE_STEPS = 3


@dataclass(frozen=True)
class Stage:
    """One stage as a real run would meet it: state is "done", "part done" or "to do"; seconds are those left."""

    name: str
    state: str
    detail: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What `edgegan compress` would do."""

    device: str
    training_images: int
    validation_images: int
    teacher: dict[str, Any]
    student: dict[str, Any]
    input_shape: list[int]
    output_shape: list[int]
    taps: dict[str, list[int]]
    cache_bytes: int
    stages: list[Stage]
    conflict: str | None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        wide = " x ".join(map(str, self.input_shape)), " x ".join(map(str, self.output_shape))
        teacher, student = self.teacher, self.student
        lines = [
            f"device {self.device}; {self.training_images} training and {self.validation_images} "
            "validation images",
            f"input {wide[0]}, output {wide[1]}",
            f"teacher {format_macs(teacher['macs'])}MACs, {teacher['parameters']:,} parameters",
            f"student {format_macs(student['macs'])}MACs, {student['parameters']:,} parameters "
            f"({teacher['macs'] / student['macs']:.1f}x fewer MACs)",
            *(
                f"  features at {name}: {' x '.join(map(str, shape))}"
                for name, shape in self.taps.items()
            ),
            f"teacher's cached outputs: {self.cache_bytes / 1e6:.0f} MB on disk",
            "stages",
            *(
                f"  {stage.name:14} {stage.state:10} {format_duration(stage.seconds):>7}  {stage.detail}"
                for stage in self.stages
            ),
            f"estimated time: {format_duration(sum(stage.seconds for stage in self.stages))} "
            f"(from {PROBE_STEPS} steps; validations and export not counted)",
        ]
        if self.conflict:
            lines.append(self.conflict)
        lines.append("nothing was written; leave out --dry-run to start")
        return "\n".join(lines)


def dry_run(recipe: Recipe, folder: Path, *, overwrite: bool = False) -> Plan:
    """Checks everything that `compress` checks before its first step, measures three steps, and writes nothing.

    Raises what `compress` would raise for a wrong recipe, picture, teacher or output folder.
    """
    device = choose_device(recipe.device)
    searching = recipe.method == "gan-compression"
    examples = open_examples(recipe, recipe.search.images if searching else 0, None)
    announce(examples)
    before, conflict = earlier_run(folder, recipe, overwrite)
    with tempfile.TemporaryDirectory(prefix="edgegan-") as scratch:
        probe = Probe(recipe, examples, device, Path(scratch), before)
        costs = probe.costs()
        teacher_s, step_s = probe.measure_seconds()
    crops, held = recipe.data.crops, examples.count("validation")
    made, steps = progress_of(before, recipe)
    cached = finished(before, "teacher_cache")
    left = 0 if cached else crops + held - made
    teacher = Stage(
        "teacher_cache",
        state(cached, made),
        f"{crops} crops and {held} validation images, {teacher_s:.3f} s each, "
        f"{crops + held if cached else made} done",
        left * teacher_s,
    )
    trained = finished(before, "distill")
    student = Stage(
        "distill",
        state(trained, steps),
        f"{recipe.distill.steps} steps of {recipe.distill.batch}, {step_s:.3f} s each{before_cuts(recipe)}, "
        f"{recipe.distill.steps if trained else steps} done",
        0.0 if trained else (recipe.distill.steps - steps) * step_s,
    )
    stages = [teacher, *(search_stages(before, recipe, step_s) if searching else [student])]
    if recipe.teacher is not None and not is_package(recipe.teacher):
        known = finished(before, "import")
        detail = f"{recipe.teacher.name} to a package"
        stages.insert(0, Stage("import", state(known, 0), detail, 0.0 if known else probe.import_s))
    return Plan(
        device=str(device),
        training_images=examples.count("train"),
        validation_images=held,
        stages=stages,
        conflict=conflict,
        cache_bytes=probe.cache_bytes * (crops + held),
        **costs,
    )


def before_cuts(recipe: Recipe) -> str:
    """Says of which network the time of a step is, where steps change it."""
    return " before anything is pruned" if recipe.method == "gan-slimming" else ""


def search_stages(before: Run | None, recipe: Recipe, step_s: float) -> list[Stage]:
    """The stages of gan-compression; seconds are at most, since every network counts as the widest."""
    supernet, search = recipe.supernet, recipe.search
    evaluations = search.population * (search.generations + 1)
    alone = search.check_networks * search.check_steps
    found = [
        ("pretrain", f"{supernet.pretrain_steps} steps", supernet.pretrain_steps),
        (
            "supernet",
            f"{supernet.steps} steps of {supernet.networks} sub-networks",
            supernet.steps * supernet.networks,
        ),
        (
            "search",
            f"at most {evaluations} sub-networks on {search.images} images",
            evaluations * search.images / 3,
        ),
        (
            "check",
            f"{search.check_networks} sub-networks alone, {search.check_steps} steps each",
            alone,
        ),
        ("distill", f"{search.finetune_steps} steps of fine-tuning", search.finetune_steps),
    ]
    return [
        Stage(
            name,
            state(finished(before, name), 0),
            detail,
            0.0 if finished(before, name) else count * step_s,
        )
        for name, detail, count in found
        if count
    ]


def earlier_run(folder: Path, recipe: Recipe, overwrite: bool) -> tuple[Run | None, str | None]:
    """The run to resume, and what stands in the way of it; raises OutputError for a folder that is no run."""
    if not (folder / MANIFEST).is_file():
        if folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
            raise OutputError(f"{folder} exists and is not a run; choose another with -o")
        return None, None
    run = Run.open(folder)
    if overwrite:
        return None, f"--overwrite: the run in {folder} would be removed first"
    changed = differing_keys(run.manifest["recipe"], recipe.model_dump(mode="json"))
    if changed:
        return None, (
            f"{folder} holds a run of another recipe ({', '.join(changed[:4])} differ): compress would refuse "
            "without --overwrite"
        )
    return run, None


def finished(run: Run | None, stage: str) -> bool:
    """Whether an earlier run finished a stage and its files are still what it wrote."""
    if run is None or stage not in run.manifest["stages"]:
        return False
    return run.is_done(stage, run.manifest["stages"][stage]["inputs"])


def progress_of(run: Run | None, recipe: Recipe) -> tuple[int, int]:
    """Teacher outputs and student steps that an interrupted run has behind it."""
    if run is None:
        return 0, 0
    made = 0
    # A stage that was finished and lost a file since starts from nothing.
    recorded = run.manifest["stages"]
    for split in ("train", "validation"):
        note = run.folder / "stages" / "teacher_cache" / f"{split}.progress.json"
        if note.is_file() and "teacher_cache" not in recorded:
            made += read_json(note)["done"]
    checkpoint = run.folder / "stages" / "distill" / "checkpoint.pt"
    steps = 0
    if checkpoint.is_file() and "distill" not in recorded:
        steps = max(
            (entry["step"] for entry in read_metrics(run.folder / "metrics.jsonl")), default=0
        )
    return made, min(steps, recipe.distill.steps)


def state(done: bool, part: int) -> str:
    """How far a stage is, in words."""
    return "done" if done else "part done" if part else "to do"


class Probe:
    """The real stages on a handful of pictures, in a scratch folder."""

    def __init__(
        self,
        recipe: Recipe,
        examples: Examples,
        device: torch.device,
        scratch: Path,
        before: Run | None,
    ) -> None:
        self.recipe, self.device, self.scratch = recipe, device, scratch
        self.examples = examples.few(PROBE_STEPS + 1, 1)
        began = time.monotonic()
        kept = before.folder / "teacher" if before is not None else None
        if kept is not None and is_package(kept):
            self.teacher = kept
        else:
            self.teacher = resolve_teacher(self.run("import"), recipe)
        self.import_s = time.monotonic() - began
        self.config = read_config(self.teacher)
        if recipe.method == "gan-slimming":
            self.spec = plan_start(self.config, self.teacher, recipe).spec
        else:
            self.spec = student_spec(self.config, recipe.student)
        self.cache_bytes = 0

    def run(self, name: str) -> Run:
        """An empty run that nobody sees."""
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        return Run(folder, {"recipe": {}, "stages": {}})

    def costs(self) -> dict[str, Any]:
        """Shapes and MACs of teacher and student."""
        shape = input_shape(self.config.input, self.recipe.data.size)
        example = torch.zeros(shape)
        teacher = measure(build(self.config.family, self.config.spec), example, cross_check=False)
        student = measure(build(self.config.family, self.spec), example, cross_check=False)
        taps = {}
        if self.recipe.distill.feature_weight > 0:
            wanted = tap_modules(load_generator(self.teacher)[1], example)
            by_prefix = {name: shape_at(teacher, name) for name in wanted}
            taps = {name: list(found) for name, found in by_prefix.items() if found}
        output = [1, self.config.output.channels, *teacher.size]
        return {
            "teacher": teacher.summary(),
            "student": student.summary(),
            "input_shape": list(shape),
            "output_shape": output,
            "taps": taps,
        }

    def measure_seconds(self) -> tuple[float, float]:
        """Seconds of one teacher output and of one student step: four of each less one of each, over three.

        A first round is not counted: it pays for what a process does once.
        """
        say(f"probe: {PROBE_STEPS} teacher outputs and {PROBE_STEPS} student steps")
        teacher_s, step_s = [], []
        for turn, count in enumerate((1, 1, 1 + PROBE_STEPS)):
            data = self.recipe.data.model_copy(update={"crops": count, "validation_images": 1})
            settings = self.recipe.distill.model_copy(
                update={"steps": count, "validate_every": 10**9, "checkpoint_seconds": 1e9}
            )
            changes = {"data": data, "distill": settings, "method": "distill"}
            recipe = self.recipe.model_copy(update=changes)
            run = self.run(f"probe{turn}")
            began = time.monotonic()
            cache = cache_teacher(run, recipe, self.teacher, self.examples, self.device)
            teacher_s.append(time.monotonic() - began)
            began = time.monotonic()
            train_student(
                make_job(
                    run,
                    recipe,
                    self.teacher,
                    self.config,
                    self.spec,
                    cache,
                    self.examples,
                    self.device,
                )
            )
            step_s.append(time.monotonic() - began)
            arrays = [path.stat().st_size for path in cache.glob("*.npy")]
            self.cache_bytes = sum(arrays) // (count + 1)
        return seconds_each(teacher_s[1:]), seconds_each(step_s[1:])


def seconds_each(durations_s: list[float]) -> float:
    """Of one round and of a round with three more: what one more takes, or the average when noise hides it."""
    short, long = durations_s
    return (long - short) / PROBE_STEPS if long > short else long / (PROBE_STEPS + 1)


def shape_at(costs: Complexity, module: str) -> tuple[int, ...] | None:
    """The output shape of the last layer inside a module."""
    found = [layer for layer in costs.layers if (layer.name + ".").startswith(module + ".")]
    return found[-1].output_shape if found else None
