"""compress: a teacher becomes a slim student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

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
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="change a recipe key: distill.steps=2000")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="print stages, shapes, MACs and an estimated time; write nothing"
        ),
    ] = False,
    generator: OwnGenerator = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Distil a teacher generator into a slim student."""
    allow(generator)
    from edgegan.config import load_recipe

    overrides = list(settings or [])
    for key, value in (("teacher", teacher), ("data.train", data), ("data.validation", validation)):
        if value is not None:
            overrides.append(f"{key}={json.dumps(str(value.resolve()))}")
    parsed = load_recipe(recipe, overrides)
    if dry_run:
        from edgegan.compress.dry_run import dry_run as plan_run

        plan = plan_run(parsed, output, overwrite=overwrite)
        show(plan.as_json(), as_json, plan.text())
        return
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
        f"next: edgegan export {output}",
    )
