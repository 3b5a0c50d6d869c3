"""Students as packages: the last stage of every method, and the one writer of what compress makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegan.compress.fidelity import measure_quality
from edgegan.compress.job import Job
from edgegan.console import say
from edgegan.distributed import is_main
from edgegan.models.packaging import card
from edgegan.models.zoo import count_parameters, make_golden
from edgegan.ownership.replacement import atomic_folder
from edgegan.package import LearnedEnds, package_files, write_package
from edgegan.run import STUDENT

GOLDEN_COUNT = 4


@dataclass(frozen=True)
class Made:
    """A network as its training leaves it, figures worth keeping, and the int8 ranges that it learned."""

    spec: Any
    module: nn.Module
    figures: Mapping[str, Any] = field(default_factory=dict)
    ranges: Sequence[LearnedEnds] = ()


def finish_student(job: Job, inputs: str, train: Callable[[], Made]) -> None:
    """The stage "student": where it is not done, trains one, writes its package, records its quality and figures."""
    with job.run.stage(STUDENT, inputs) as stage:
        if not stage.todo:
            say("student is up to date")
            return
        made = train()
        if not is_main():
            return
        recipe, teacher, cache = job.recipe, job.config, job.cache
        made.module.cpu().eval()
        stage.note(**measure_quality(made.module, cache), **made.figures)
        folder = job.run.folder / "student"
        x = cache.codec.load(cache.validation_inputs[:GOLDEN_COUNT])
        line = f"distilled from {teacher.name} ({teacher.parameters:,} parameters) by recipe {recipe.name}"
        with atomic_folder(folder, "package", overwrite=True) as temporary:
            write_student(job, made, temporary, recipe.name, x, [line])
        stage.wrote(*package_files(folder))


def write_student(
    job: Job, made: Made, folder: Path, name: str, x: torch.Tensor, changes: list[str]
) -> None:
    """Writes a package of the job's teacher's kind into an empty folder; `x` (N, ...) becomes its golden input."""
    recipe, teacher = job.recipe, job.config
    parameters = count_parameters(made.module)
    config = {
        "family": teacher.family,
        "spec": made.spec.model_dump(mode="json"),
        "name": name,
        "role": "student",
        "size": teacher.size if teacher.input.kind == "noise" else recipe.data.size,
        "input": teacher.input,
        "output": teacher.output,
        "parameters": parameters,
        "source": {"teacher": teacher.name, "recipe": recipe.name, "changes": changes},
        "int8_ranges": list(made.ranges),
        "licence": teacher.licence,
    }
    write_package(
        folder,
        config,
        made.module.state_dict(),
        make_golden(made.module, x),
        card(name, teacher.family, parameters, teacher.licence, changes),
    )
