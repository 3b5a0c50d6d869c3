"""`make bench-search`: the same supernet searched for few MACs, then for few milliseconds (or instructions) as well.

The first search has the MACs budget alone; its winner's predicted cost, times --tighter, is the second search's further
budget. Both winners are fine-tuned alike and exported, and their int8 artefacts timed in one interleaved run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from edgegan.benchmarks.studies.interleaved import pooled, time_rounds
from edgegan.benchmarks.timing import compare_rounds, summarise
from edgegan.compress.pipeline import compress
from edgegan.console import emit, format_cost, table
from edgegan.recipe.loading import load_recipe
from edgegan.recipe.schema import Recipe
from edgegan.run import Run

SHARED_STAGES = ("teacher_cache", "pretrain", "supernet")
LOOSE = 1e15


def main() -> None:
    """Searches twice, exports, times and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a gan-compression recipe with budget.macs")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--cost", choices=["ms", "instructions"], default="ms")
    parser.add_argument("--tighter", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each artefact a round")
    parser.add_argument("--output", type=Path, default=Path("runs/bench_search"))
    given = parser.parse_args()
    settings = [f"teacher={given.teacher}", f"data.train={given.data}", *given.settings]
    settings += [f"data.validation={given.validation}", "method=gan-compression"]
    loose = load_recipe(given.recipe, [*settings, f"budget.{given.cost}={LOOSE}"])
    first = compress(loose, given.output / "macs")
    predicted = first.figures("search")[f"chosen_{given.cost}"]
    limit = given.tighter * predicted
    tight = load_recipe(given.recipe, [*settings, f"budget.{given.cost}={limit}"])
    folder = given.output / given.cost
    hand_over(first, tight, folder)
    second = compress(tight, folder)
    runs = {"MACs": first, f"MACs and {given.cost}": second}
    artefacts = {name: export(run.folder) for name, run in runs.items()}
    samples = time_rounds(artefacts, 1, given.rounds, given.seconds)
    rows = []
    for name, run in runs.items():
        searched, quality = run.figures("search"), run.student_figures()
        latency = summarise(pooled(samples[name]))
        rows.append(
            [
                name,
                format_cost(searched["chosen_macs"]),
                format_cost(searched[f"chosen_{given.cost}"]),
                f"{latency['median_ms']:.3f}",
                f"{latency['interval_low_ms']:.3f}-{latency['interval_high_ms']:.3f}",
                f"{quality['psnr_to_teacher_db']:.2f}",
            ]
        )
    headers = ["searched for", "MACs", f"predicted {given.cost}", "int8 ms", "95 % interval"]
    emit(table([*headers, "PSNR to teacher dB"], rows))
    compared = compare_rounds(*samples.values())
    emit(
        f"latency of the second over the first: {compared['ratio']:.3f} (95 % interval "
        f"{compared['interval_low']:.3f} to {compared['interval_high']:.3f}, {given.rounds} rounds)"
    )


def hand_over(first: Run, recipe: Recipe, folder: Path) -> None:
    """Gives the second run the first one's finished stages up to the supernet, and its predictor, by hard links."""
    if (folder / "run.json").is_file():
        return
    stages = [
        name
        for name in first.manifest["stages"]
        if name in SHARED_STAGES or name.startswith("predictor_")
    ]
    Run.start(folder, recipe, overwrite=False).take_over(first, stages)


def export(folder: Path) -> Path:
    """The int8 .tflite of a run's student."""
    command = [
        sys.executable,
        "-m",
        "edgegan",
        "export",
        str(folder),
        "--which",
        "student",
        "--force",
    ]
    subprocess.run([*command, "--target", "tflite", "--precision", "int8"], check=True)
    return folder / "export" / "student_int8.tflite"


if __name__ == "__main__":
    main()
