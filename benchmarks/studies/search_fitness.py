"""`make bench-fitness`: one supernet searched by PSNR to the teacher and by Frechet distance, within a budget of MACs.

For each seed a supernet is trained once; both searches choose among the same sub-networks with the same weights. Both
winners, not trained further, are judged on the validation pictures by both measures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from edgegan.benchmarks.studies.search_costs import hand_over
from edgegan.compress.pipeline import compress
from edgegan.console import emit, format_cost, table
from edgegan.evaluation.figures import features_of
from edgegan.evaluation.sets import PictureSet, generate, run_inputs
from edgegan.metrics.extractors import FeatureExtractor, open_extractor
from edgegan.metrics.frechet import Features, frechet_distance
from edgegan.package import read_config
from edgegan.recipe.loading import load_recipe
from edgegan.run import Run

CHOICES = [[8], [8, 4], [8, 4], [8, 4], [8, 4], [8, 4], [8], [8]]
FIXED = [
    "search.finetune_steps=0",
    "search.check_networks=0",
    f"supernet.choices={json.dumps(CHOICES)}",
]


def main() -> None:
    """Trains, searches twice for each seed, judges and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--network", required=True, type=Path, help="Inception weights")
    for name in ("data", "target", "validation", "validation-target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--recipe", default="gan_compression_edges2shoes_quick")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--output", type=Path, default=Path("runs/bench_fitness"))
    given = parser.parse_args()
    data = [f"data.train={given.data}", f"data.target={given.target}"]
    data += [f"data.validation={given.validation}"]
    data += [f"data.validation_target={given.validation_target}", f"teacher={given.teacher}"]
    rows: list[list[str]] = []
    found: dict[str, list[tuple[float, float]]] = {"psnr": [], "fid": []}
    truth: list[Features] = []
    for seed in range(given.seeds):
        settings = [*data, *FIXED, *given.settings, f"seed={seed}"]
        by_psnr = load_recipe(given.recipe, [*settings, "search.fitness=psnr"])
        more = ["search.fitness=fid", f"search.network={given.network}"]
        by_frechet = load_recipe(given.recipe, [*settings, *more])
        first = compress(by_psnr, given.output / f"psnr{seed}")
        hand_over(first, by_frechet, given.output / f"fid{seed}")
        second = compress(by_frechet, given.output / f"fid{seed}")
        for name, run in (("psnr", first), ("fid", second)):
            with open_extractor(given.network) as extractor:
                figures = judged(run, extractor, truth)
            found[name].append(figures)
            rows.append([f"{seed}", name, config_of(run), *written(run, figures)])
            emit(" ".join(rows[-1]))
    headers = [
        "seed",
        "searched by",
        "widths",
        "MACs",
        "PSNR to teacher, dB",
        "Frechet to the truth",
    ]
    emit(table(headers, rows))
    for index, measure in enumerate(("PSNR to teacher, dB", "Frechet to the truth")):
        values = [np.array([each[index] for each in found[name]]) for name in ("fid", "psnr")]
        change = values[0] - values[1]
        emit(
            f"{measure}: by Frechet minus by PSNR {change.mean():+.4f}, standard deviation over "
            f"{len(change)} supernets {change.std(ddof=1) if len(change) > 1 else float('nan'):.4f}"
        )


def judged(run: Run, extractor: FeatureExtractor, truth: list[Features]) -> tuple[float, float]:
    """PSNR to the teacher and Frechet distance to the true pictures, whose features `truth` keeps, on the validation
    pictures."""
    student = run.folder / "student"
    inputs = run_inputs(run, read_config(student).input, None)
    assert inputs.split is not None and inputs.split.targets is not None
    if not truth:
        targets = inputs.split.targets
        truth.append(
            features_of(extractor, PictureSet("the truth", targets, inputs.size, inputs.resize))
        )
    with tempfile.TemporaryDirectory(prefix="edgegan-") as scratch:
        made = generate(student, run.folder.name, inputs, Path(scratch), 1)
        ours = features_of(extractor, made)
    distance = frechet_distance(ours, truth[0], epsilon=extractor.epsilon)
    return run.student_figures()["psnr_to_teacher_db"], distance


def config_of(run: Run) -> str:
    """The chosen widths, as published configs are written."""
    return str(run.figures("search").get("config", ""))


def written(run: Run, figures: tuple[float, float]) -> list[str]:
    """Cells of a row."""
    macs = format_cost(run.figures("search")["chosen_macs"])
    return [macs, f"{figures[0]:.3f}", f"{figures[1]:.4f}"]


if __name__ == "__main__":
    main()
