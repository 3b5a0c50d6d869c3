"""`edgegan compress --dry-run`: stages, shapes, costs, what is cached, and the time from a three-step probe.

The run folder is only read. The probe calls the same stages as a real run, in a folder that is thrown away.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgegan.compress.efforts import Effort, Unit
from edgegan.compress.job import Order, Shaped
from edgegan.compress.pipeline import METHODS, cache_outputs, held_out, shape_of
from edgegan.compress.teacher.examples import Examples, announce, open_examples
from edgegan.compress.teacher.outputs import TEACHER_CACHE
from edgegan.compress.uniform_student import train_uniform
from edgegan.console import format_duration, say
from edgegan.files import read_json
from edgegan.metrics.complexity import Complexity, format_macs, measure
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import build, check_package_size, load_generator
from edgegan.ownership.folders import check_place
from edgegan.package import input_shape, is_package
from edgegan.recipe.schema import Recipe
from edgegan.run import MANIFEST, STUDENT, Run, differing_keys, with_new_keys
from edgegan.streams import printable
from edgegan.training.loop import read_metrics
from edgegan.training.speed import choose_device

PROBE_STEPS = 3


@dataclass(frozen=True)
class Planned:
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
    stages: list[Planned]
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
        return "\n".join(map(printable, lines))


def dry_run(recipe: Recipe, folder: Path, *, overwrite: bool = False) -> Plan:
    """Checks everything that `compress` checks before its first step, measures three steps, and writes nothing.

    Raises what `compress` would raise for a wrong recipe, picture, teacher or output folder.
    """
    device = choose_device(recipe.device)
    examples = open_examples(recipe, held_out(recipe), None)
    announce(examples)
    before, conflict = earlier_run(folder, recipe, overwrite)
    with tempfile.TemporaryDirectory(prefix="edgegan-") as scratch:
        probe = Probe(recipe, examples, device, Path(scratch), before)
        costs = probe.costs()
        output_s, step_s = probe.measure_seconds()
    seconds: dict[Unit, float] = {"import": probe.import_s, "output": output_s, "step": step_s}
    behind = progress_of(before, recipe)
    stages = []
    for part in METHODS[recipe.method]:
        effort = part.effort(recipe, examples)
        if effort is not None:
            done = finished(before, part.name)
            stages.append(planned(part.name, effort, seconds, done, behind.get(part.name, 0)))
    return Plan(
        device=str(device),
        training_images=examples.count("train"),
        validation_images=examples.count("validation"),
        stages=stages,
        conflict=conflict,
        cache_bytes=probe.cache_bytes * (recipe.data.crops + examples.count("validation")),
        **costs,
    )


def planned(
    name: str, effort: Effort, seconds: dict[Unit, float], done: bool, behind: int
) -> Planned:
    """A stage with the seconds that are left of it; `behind` of its parts are done already."""
    each_s, detail = seconds[effort.unit], effort.words
    if effort.counted:
        counted = round(effort.count) if done else behind
        detail = f"{detail}, {each_s:.3f} s each, {counted} done"
    left = 0.0 if done else effort.count - behind
    return Planned(name, state(done, behind), detail, left * each_s)


def earlier_run(folder: Path, recipe: Recipe, overwrite: bool) -> tuple[Run | None, str | None]:
    """The run to resume, and what stands in the way of it; raises OutputError for a folder that is no run."""
    if not (folder / MANIFEST).is_file():
        check_place(folder, "run")
        return None, None
    run = Run.open(folder)
    if overwrite:
        return None, f"--overwrite: the run in {folder} would be removed first"
    changed = differing_keys(with_new_keys(run.manifest["recipe"]), recipe.model_dump(mode="json"))
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


def progress_of(run: Run | None, recipe: Recipe) -> dict[str, int]:
    """Teacher outputs and student steps that an interrupted run has behind it, by stage."""
    if run is None:
        return {}
    found: dict[str, int] = {}
    # A stage that was finished and lost a file since starts from nothing.
    recorded = run.manifest["stages"]
    if TEACHER_CACHE not in recorded:
        notes = (run.folder / "stages" / TEACHER_CACHE).glob("*.progress.json")
        splits = ("train", "validation")
        states = [read_json(note) for note in notes if note.name.split(".")[0] in splits]
        counted = [state.get("done") for state in states if isinstance(state, dict)]
        made = [count for count in counted if isinstance(count, int)]
        found[TEACHER_CACHE] = sum(made)
    checkpoint = run.folder / "stages" / STUDENT / "checkpoint.pt"
    if checkpoint.is_file() and STUDENT not in recorded:
        entries = read_metrics(run.folder / "metrics.jsonl")
        steps = max((entry["step"] for entry in entries), default=0)
        found[STUDENT] = min(steps, recipe.distill.steps)
    return found


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
        self.scratch = scratch
        began = time.monotonic()
        kept = before.folder / "teacher" if before is not None else None
        if kept is not None and is_package(kept):
            recipe = recipe.model_copy(update={"teacher": kept})
        few = examples.few(PROBE_STEPS + 1, 1)
        self.shaped = shape_of(Order(self.run("import"), recipe, few, device))
        self.import_s = time.monotonic() - began
        self.cache_bytes = 0

    def run(self, name: str) -> Run:
        """An empty run that nobody sees."""
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        return Run(folder, {"recipe": {}, "stages": {}})

    def costs(self) -> dict[str, Any]:
        """Shapes and MACs of teacher and student."""
        order = self.shaped.order
        config, recipe = order.config, order.recipe
        check_package_size(config, recipe.data.size)
        shape = input_shape(config.input, recipe.data.size)
        example = torch.zeros(shape)
        teacher = measure(build(config.family, config.spec), example, cross_check=False)
        student = measure(build(config.family, self.shaped.spec), example, cross_check=False)
        taps = {}
        if recipe.distill.feature_weight > 0:
            wanted = tap_modules(load_generator(order.teacher)[1], example)
            by_prefix = {name: shape_at(teacher, name) for name in wanted}
            taps = {name: list(found) for name, found in by_prefix.items() if found}
        output = [1, config.output.channels, *teacher.size]
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
        output_s, step_s = [], []
        for turn, count in enumerate((1, 1, 1 + PROBE_STEPS)):
            began = time.monotonic()
            job = cache_outputs(self.shortened(self.run(f"probe{turn}"), count))
            output_s.append(time.monotonic() - began)
            began = time.monotonic()
            train_uniform(job, job.hash())
            step_s.append(time.monotonic() - began)
            folder = job.run.stage_folder(TEACHER_CACHE)
            arrays = [path.stat().st_size for path in folder.glob("*.npy")]
            self.cache_bytes = sum(arrays) // (count + 1)
        return seconds_each(output_s[1:]), seconds_each(step_s[1:])

    def shortened(self, run: Run, count: int) -> Shaped:
        """The student's shape in a run of so many crops and steps."""
        order = self.shaped.order
        recipe = order.recipe
        data = recipe.data.model_copy(update={"crops": count, "validation_images": 1})
        quiet = {"steps": count, "validate_every": 10**9, "checkpoint_seconds": 1e9}
        settings = recipe.distill.model_copy(update=quiet)
        recipe = recipe.model_copy(
            update={"data": data, "distill": settings, "teacher": order.teacher}
        )
        return replace(self.shaped, order=replace(order, run=run, recipe=recipe))


def seconds_each(durations_s: list[float]) -> float:
    """Of one round and of a round with three more: what one more takes, or the average when noise hides it."""
    short, long = durations_s
    return (long - short) / PROBE_STEPS if long > short else long / (PROBE_STEPS + 1)


def shape_at(costs: Complexity, module: str) -> tuple[int, ...] | None:
    """The output shape of the last layer inside a module."""
    found = [layer for layer in costs.layers if (layer.name + ".").startswith(module + ".")]
    return found[-1].output_shape if found else None
