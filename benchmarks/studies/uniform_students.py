"""`make bench-uniform RUN=FOLDER`: a uniform-width student of what a search chose, trained as long, to set beside it.

It has the scale whose MACs come nearest to the searched student's, as many steps as pretraining, supernet and
fine-tuning together, and the run's own cache of the teacher: the same crops of the same pictures. Both are then
judged with `edgegan evaluate`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgegan.compress.form import find_scale, spec_at
from edgegan.compress.pipeline import run_stages
from edgegan.compress.teacher.examples import open_examples
from edgegan.compress.teacher.outputs import resolve_teacher
from edgegan.console import emit, format_cost, table
from edgegan.errors import ConfigError, EdgeGANError
from edgegan.models.catalogue import measure_spec
from edgegan.models.zoo import parse_spec
from edgegan.package import read_config
from edgegan.recipe.budget_section import Budget
from edgegan.recipe.loading import parse_recipe
from edgegan.run import MANIFEST, STUDENT, Run
from edgegan.training.speed import choose_device

ROUND_TO, BELOW = 2, 0.005


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
    if recipe.method != "gan-compression" or STUDENT not in searched.manifest["stages"]:
        raise ConfigError(f"{searched.folder} is not a finished gan-compression run")
    chosen = searched.figures("search")["chosen_macs"]
    supernet = recipe.supernet
    steps = supernet.pretrain_steps + supernet.steps + recipe.search.finetune_steps
    plain = recipe.model_copy(
        update={
            "method": "distill",
            "budget": Budget(),  # the scale is chosen here
            "student": recipe.student.model_copy(update={"round_to": ROUND_TO}),
            "distill": recipe.distill.model_copy(update={"steps": steps}),
        }
    )
    config = read_config(resolve_teacher(searched, recipe))

    def cost(scale: float) -> int:
        return measure_spec(spec_at(config, plain, scale), plain.data.size).macs

    above = find_scale(cost, chosen)
    scale = min(above - BELOW, above, key=lambda each: abs(cost(each) - chosen))
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
        spec = parse_spec(student.family, student.spec)
        macs = measure_spec(spec, recipe.data.size).macs
        rows.append(
            [name, format_cost(macs), f"{each.student_figures()['psnr_to_teacher_db']:.2f}"]
        )
    emit(table(["widths", "MACs", "PSNR to teacher dB"], rows))
    emit(f"next: edgegan evaluate {folder}")


if __name__ == "__main__":
    main()
