"""compress: a teacher becomes a slim student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan.commands.options import AsJson, Overwrite, OwnGenerator, allow, show


def compress(
    recipe: Annotated[
        str, typer.Argument(help="shipped recipe (cartoongan, resnet, quickstart) or a YAML file")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="run folder; an interrupted run in it goes on")
    ],
    teacher: Annotated[Path | None, typer.Option(help="generator package or checkpoint")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of training images")] = None,
    validation: Annotated[Path | None, typer.Option(help="folder of validation images")] = None,
    method: Annotated[
        str | None, typer.Option(help="distill, gan-compression or gan-slimming")
    ] = None,
    budget_macs: Annotated[
        float | None, typer.Option(help="gan-slimming: true MACs of one image, such as 2.4e9")
    ] = None,
    budget_bytes: Annotated[
        float | None, typer.Option(help="gan-slimming: bytes of the int8 .tflite file")
    ] = None,
    budget_ms: Annotated[
        float | None, typer.Option(help="gan-slimming: predicted milliseconds of one image")
    ] = None,
    budget_instructions: Annotated[
        float | None, typer.Option(help="gan-slimming: predicted instructions of one image")
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(help="gan-slimming: int8 inside the training, or none")
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="gan-slimming: widths are multiples of this")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="change a recipe key: distill.steps=2000")
    ] = None,
    generator: OwnGenerator = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Distil a teacher generator into a slim student, at given widths or pruned to a budget."""
    allow(generator)
    from edgegan.config import load_recipe

    paths = {"teacher": teacher, "data.train": data, "data.validation": validation}
    values: dict[str, Any] = {
        key: str(path.resolve()) for key, path in paths.items() if path is not None
    }
    budgets = {
        "macs": budget_macs,
        "bytes": budget_bytes,
        "ms": budget_ms,
        "instructions": budget_instructions,
    }
    if any(value is not None for value in budgets.values()):
        values |= {f"slim.budget_{kind}": value for kind, value in budgets.items()}
    choices = {"method": method, "slim.quantize": quantize, "slim.round_to": round_to}
    values |= {key: value for key, value in choices.items() if value is not None}
    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    overrides += settings or []
    parsed = load_recipe(recipe, overrides)
    from edgegan.compress.pipeline import compress as run_compress

    run = run_compress(parsed, output, overwrite=overwrite)
    figures = run.figures("distill")
    identity = figures.get("identity_psnr_db")
    beside = f" (untouched input: {identity:.2f} dB)" if identity is not None else ""
    show(
        {"run": str(output), "student": str(output / "student"), **figures},
        as_json,
        f"{output / 'student'}: PSNR to teacher {figures['psnr_to_teacher_db']:.2f} dB{beside}, SSIM "
        f"{figures['ssim_to_teacher']:.3f}, {figures['validation_images']} validation images\n"
        f"{slimmed(figures)}"
        f"next: edgegan export {output}",
    )


def slimmed(figures: dict[str, Any]) -> str:
    """What slimming adds to the result."""
    if "predicted_bytes" not in figures:
        return ""
    met = ""
    for kind, aim in figures.get("budget", {}).items():
        if kind != "met_at":
            spent = figures["budget"]["met_at"]
            met = f"; budget {aim:,.0f} {kind}, met at {spent:,.0f} ({spent / aim - 1:+.2%})"
    return (
        f"in int8: about {figures['predicted_bytes']:,} bytes, simulated PSNR to teacher "
        f"{figures['int8_psnr_to_teacher_db']:.2f} dB{met}\n"
    )
