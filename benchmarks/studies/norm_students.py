"""`make bench-norms`: students of one teacher with each norm, compared at equal int8 latency and not at equal MACs.

For each norm the width is found whose untrained int8 .tflite runs as long as the reference's (InstanceNorm at --scale);
then all are distilled alike with short budgets, exported and timed in one interleaved run. Every step is a command that
resumes, so that a killed benchmark goes on where it was. Pictures of every student are in WORK/pictures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgegan.artefact import read_model
from edgegan.benchmarks.column import Column, fill
from edgegan.benchmarks.studies.interleaved import pooled, time_rounds
from edgegan.benchmarks.timing import summarise
from edgegan.console import say, table
from edgegan.errors import EdgeGANError
from edgegan.files import read_json, write_json
from edgegan.models.packaging import GOLDEN_COUNT, card, golden_images, import_to_package
from edgegan.models.zoo import build, count_parameters, make_golden, parse_spec
from edgegan.package import is_package, read_config, write_package
from edgegan.recipe.student_section import Norm

NORMS: tuple[Norm, ...] = ("instance_affine", "batch", "batch-global")
STEP = 0.03125
ROUNDS, SECONDS = 10, 0.1
INT8 = "student_int8.tflite"


def edgegan(*arguments: object) -> None:
    """Runs a command; raises EdgeGANError naming it when it fails."""
    command = [sys.executable, "-m", "edgegan", *map(str, arguments)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise EdgeGANError(f"failed: {' '.join(command)}")


def untrained(folder: Path, teacher: Path, norm: Norm, scale: float, size: tuple[int, int]) -> Path:
    """The int8 .tflite of an untrained student of this norm and width."""
    artefact = folder / "export" / INT8
    if artefact.is_file():
        return artefact
    import torch

    if not is_package(folder / "package"):
        config = read_config(teacher)
        spec = parse_spec(config.family, config.spec).scaled(scale, 8, "separable", norm)
        torch.manual_seed(0)
        module = build(config.family, spec).train()
        images = golden_images(GOLDEN_COUNT, size, config.input.channels)
        with torch.no_grad():
            for _ in range(10):  # statistics that int8 can hold
                module(images)
        module.eval()
        values: dict[str, object] = {
            "family": config.family,
            "spec": spec.model_dump(mode="json"),
            "size": size,
        }
        values |= {"role": "student", "parameters": count_parameters(module)}
        (folder / "package").mkdir(parents=True)
        words = card("untrained", config.family, 1, "own", [])
        golden = make_golden(module, images)
        write_package(folder / "package", values, module.state_dict(), golden, words)
    from edgegan.data.images import to_pixels, write_image

    drawings = golden_images(GOLDEN_COUNT, size, 3).numpy()
    for index, image in enumerate(drawings):
        write_image(folder / "pictures" / f"{index}.png", to_pixels(image))
    edgegan(
        *("export", folder / "package", "-o", folder / "export", "--target", "tflite"),
        *("--precision", "int8", "--calibration", folder / "pictures"),
    )
    return artefact


def time_together(artefacts: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Latencies on one thread, a few inferences of each in turn."""
    rounds = time_rounds(artefacts, 1, ROUNDS, SECONDS)
    return {name: summarise(pooled(each)) for name, each in rounds.items()}


def equal_scale(
    work: Path, teacher: Path, norm: Norm, scale: float, size: tuple[int, int]
) -> float:
    """The widest scale, in steps of 1/32, whose int8 latency is not above the reference's."""
    kept = work / "scales.json"
    scales: dict[str, float] = read_json(kept) if kept.is_file() else {}
    if norm == NORMS[0]:
        return scale
    if norm not in scales:
        reference = untrained(work / "untrained" / NORMS[0], teacher, NORMS[0], scale, size)
        found = scale
        while found + STEP <= 1:
            wider = found + STEP
            path = untrained(work / "untrained" / f"{norm}_{wider:g}", teacher, norm, wider, size)
            times = time_together({"reference": reference, "wider": path})
            ours, limit = (times[name]["median_ms"] for name in ("wider", "reference"))
            say(f"{norm} at {wider:g}: {ours:.2f} ms, reference {limit:.2f} ms")
            if ours > limit:
                break
            found = wider
        scales[norm] = found
        write_json(kept, scales)
    return scales[norm]


def train(
    work: Path, teacher: Path, norm: Norm, scale: float, arguments: argparse.Namespace
) -> Path:
    """A distilled and exported student."""
    run = work / norm
    height, width = arguments.size
    settings = [
        f"student.norm={norm}",
        f"student.scale={scale}",
        "student.widths={}",  # else those of the recipe stand, whatever the scale
        f"data.size=[{height},{width}]",
        f"data.crops={arguments.crops}",
        f"data.validation_images={arguments.validation_images}",
        f"distill.steps={arguments.steps}",
        "distill.feature_weight=1.0",
        f"distill.freeze_statistics={0.0 if norm == NORMS[0] else arguments.freeze}",
    ]
    settings += arguments.set
    options = [word for setting in settings for word in ("--set", setting)]
    edgegan(
        *("compress", arguments.recipe, "--teacher", teacher, "--data", arguments.data, "-o", run),
        *options,
        *(("--validation", arguments.validation) if arguments.validation else ()),
    )
    edgegan(
        "export", run, "--force", "--target", "tflite", "--precision", "fp32", "--precision", "int8"
    )
    pictures = arguments.validation or arguments.data
    weights = arguments.feature_weights
    if weights.is_file() and not (run / "int8.json").is_file():
        edgegan(
            *("evaluate", run / "export" / INT8, teacher, "--images", pictures),
            *("--feature-weights", weights, "-o", run / "int8.json"),
        )
    shown = work / "pictures" / norm
    if not shown.is_dir():
        edgegan("run", run / "export" / INT8, pictures, "-o", shown, "--fit", "resize")
    return run


def frechet(path: Path) -> float | None:
    """Frechet distance of the int8 pictures to the teacher's; None where it was not measured."""
    if not path.is_file():
        return None
    figures = read_json(path)["figures"]
    return next((each["value"] for each in figures if each["name"].startswith("frechet")), None)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("EDGEGAN_DATA", "."))
    weights = data / "weights"
    parser.add_argument("--work", type=Path, default=Path("runs/bench_norms"))
    parser.add_argument("--teacher", type=Path, default=weights / "cartoongan_hayao_fp16.pth")
    parser.add_argument(
        "--feature-weights",
        type=Path,
        default=weights / "inception_2015_12_05_upto_mixed8_fp16.pth",
    )
    parser.add_argument("--recipe", default="cartoongan")
    parser.add_argument("--data", type=Path, default=data / "images/bsds500/train/photo")
    parser.add_argument("--validation", type=Path, default=data / "images/bsds500/val/photo")
    parser.add_argument(
        "--scale", type=float, default=0.25, help="width of the InstanceNorm student"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128))
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--validation-images", type=int, default=40)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument(
        "--set", action="append", default=[], help="more recipe keys, for every norm"
    )
    parser.add_argument(
        "--freeze", type=float, default=0.3, help="share of steps with frozen statistics"
    )
    return parser.parse_args()


COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("norm", lambda line: line["norm"]),
    Column("scale", lambda line: f"{line['scale']:g}"),
    Column("GMACs", lambda line: f"{line['macs'] / 1e9:.3f}"),
    Column("fp32 dB", lambda line: f"{line['fp32_db']:.2f}"),
    Column("int8 dB", lambda line: f"{line['int8_db']:.2f}"),
    Column("Frechet", lambda line: "" if line["frechet"] is None else f"{line['frechet']:.3f}"),
    Column("int8 ms", lambda line: f"{line['median_ms']:.2f}"),
    Column(
        "95 % interval",
        lambda line: f"{line['interval_low_ms']:.2f}-{line['interval_high_ms']:.2f}",
    ),
)


def main() -> None:
    """Finds widths, trains, exports, times, prints a table and writes norms.json."""
    arguments = parse()
    work, size = arguments.work, tuple(arguments.size)
    work.mkdir(parents=True, exist_ok=True)
    teacher = work / "teacher"
    if not is_package(teacher):
        import_to_package(arguments.teacher, teacher, size=size)
    scales = {norm: equal_scale(work, teacher, norm, arguments.scale, size) for norm in NORMS}
    runs = {norm: train(work, teacher, norm, scales[norm], arguments) for norm in NORMS}
    times = time_together({norm: run / "export" / INT8 for norm, run in runs.items()})
    lines: list[dict[str, Any]] = []
    for norm, run in runs.items():
        fp32, int8 = (read_model(run / "export" / f"student_{p}.tflite") for p in ("fp32", "int8"))
        lines.append(
            {
                "norm": norm,
                "scale": scales[norm],
                "macs": int8.macs,
                "fp32_db": fp32.psnr_to_teacher_db,
                "int8_db": int8.psnr_to_teacher_db,
                "frechet": frechet(run / "int8.json"),
                **times[norm],
            }
        )
    write_json(work / "norms.json", {"lines": lines})
    sys.stdout.write(table(*fill(COLUMNS, lines)) + "\n")


if __name__ == "__main__":
    main()
