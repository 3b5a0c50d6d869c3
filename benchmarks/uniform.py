"""`make bench-uniform RUN=FOLDER`: a uniform-width student of what a search chose, trained as long, to set beside it.

It has the scale whose MACs come nearest to the searched student's, as many steps as pretraining, supernet and
fine-tuning together, and the run's own cache of the teacher: the same crops of the same pictures. Both are then
judged with `edgegan evaluate`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from edgegan.compress.examples import open_examples
from edgegan.compress.pipeline import choose_device, run_stages, spec_at
from edgegan.compress.teacher import resolve_teacher
from edgegan.config import Recipe, parse_recipe
from edgegan.console import emit, format_cost, table
from edgegan.errors import ConfigError, EdgeGANError
from edgegan.metrics.complexity import measure
from edgegan.models.zoo import build
from edgegan.package import PackageConfig, input_shape, read_config
from edgegan.run import MANIFEST, Run

SCALES = [step / 200 for step in range(4, 201)]
ROUND_TO = 2


def main() -> None:
    """Trains the uniform student and prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a finished gan-compression run")
    parser.add_argument("-o", "--output", type=Path, help="default: RUN_uniform")
    given = parser.parse_args()
    output = given.output or given.run.with_name(given.run.name + "_uniform")
    try:
        compare(Run.open(given.run), output)
    except EdgeGANError as error:
        sys.exit(f"error: {error}")


def compare(searched: Run, folder: Path) -> None:
    """Trains the uniform student in `folder`, or goes on there."""
    recipe = parse_recipe(searched.manifest["recipe"], str(searched.folder / MANIFEST))
    if recipe.method != "gan-compression" or "distill" not in searched.manifest["stages"]:
        raise ConfigError(f"{searched.folder} is not a finished gan-compression run")
    chosen = searched.figures("search")["chosen_macs"]
    supernet = recipe.supernet
    steps = supernet.pretrain_steps + supernet.steps + recipe.search.finetune_steps
    plain = recipe.model_copy(
        update={
            "method": "distill",
            "student": recipe.student.model_copy(update={"round_to": ROUND_TO}),
            "distill": recipe.distill.model_copy(update={"steps": steps}),
        }
    )
    config = read_config(resolve_teacher(searched, recipe))
    scale = nearest_scale(config, plain, chosen)
    plain = plain.model_copy(update={"student": plain.student.model_copy(update={"scale": scale})})
    if not (folder / MANIFEST).is_file():
        stages = {"import", "teacher_cache"} & searched.manifest["stages"].keys()
        Run.start(folder, plain, overwrite=False).take_over(searched, sorted(stages))
    run = Run.start(folder, plain, overwrite=False)
    examples = open_examples(plain, recipe.search.images, None)
    run_stages(run, plain, examples, choose_device(plain.device))
    rows = []
    for name, each in (("searched", searched), (f"uniform, {scale:g}", run)):
        student = read_config(each.folder / "student")
        macs = cost(student, student.spec, recipe)
        rows.append(
            [name, format_cost(macs), f"{each.figures('distill')['psnr_to_teacher_db']:.2f}"]
        )
    emit(table(["widths", "MACs", "PSNR to teacher dB"], rows))
    emit(f"next: edgegan evaluate {folder}")


def nearest_scale(config: PackageConfig, recipe: Recipe, macs: float) -> float:
    """The scale whose MACs come nearest; MACs grow with it."""
    low, high = 0, len(SCALES) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if cost(config, spec_at(config, recipe, SCALES[middle]), recipe) < macs:
            low = middle
        else:
            high = middle
    costs = {
        scale: cost(config, spec_at(config, recipe, scale), recipe)
        for scale in (SCALES[low], SCALES[high])
    }
    return min(costs, key=lambda scale: abs(costs[scale] - macs))


def cost(config: PackageConfig, spec: Any, recipe: Recipe) -> int:
    """MACs of a spec at the recipe's size."""
    with torch.device("meta"):
        module = build(config.family, spec)
        example = torch.zeros(input_shape(config.input, recipe.data.size))
    return measure(module, example, cross_check=False).macs


if __name__ == "__main__":
    main()
