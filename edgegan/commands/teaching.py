"""train: a teacher from scratch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, Overwrite, SkipBad, show
from edgegan.streams import printable


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="shipped recipe (pix2pix, cyclegan, gaugan, sngan; _cpu and _quick variants) or a YAML file"
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="run folder; an interrupted run in it goes on")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="training inputs: pictures, aligned A|B pictures, domain A, label maps; of sngan the pictures "
            "(a folder, .npy or .npz)"
        ),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="targets matched by name, or domain B of cyclegan")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="validation inputs; without: a seeded tenth of --data")
    ] = None,
    validation_target: Annotated[
        Path | None, typer.Option(help="targets, or domain B, of --validation")
    ] = None,
    instances: Annotated[
        Path | None, typer.Option(help="instance maps of the label maps, matched by name")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="change a recipe key: train.steps=2000")
    ] = None,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a teacher from scratch: pix2pix, CycleGAN, GauGAN or SNGAN."""
    from edgegan.recipe.loading import load_recipe

    overrides = list(settings or [])
    folders = {
        "train": data,
        "target": target,
        "validation": validation,
        "validation_target": validation_target,
        "instances": instances,
    }
    for key, value in folders.items():
        if value is not None:
            overrides.append(f"data.{key}={json.dumps(str(value.resolve()))}")
    if skip_bad:
        overrides.append("data.skip_bad=true")
    parsed = load_recipe(recipe, overrides)
    from edgegan.training.teachers.train import train as run_train

    run = run_train(parsed, output, overwrite=overwrite)
    figures = run.figures("train")
    measured = ", ".join(
        f"{name.removeprefix('validation_').replace('_', ' ')} {value:.4f}"
        for name, value in figures.items()
        if name not in ("steps", "validation_images")
    )
    teachers = [str(path) for path in sorted(output.glob("teacher*")) if path.is_dir()]
    show(
        {"run": str(output), "teachers": teachers, **figures},
        as_json,
        f"{printable(', '.join(teachers))}: {figures['steps']} steps; on {figures['validation_images']} validation "
        f"examples: {measured}\nsamples: {printable(output / 'samples')}\n"
        f"next: edgegan inspect {printable(teachers[0])}, or edgegan compress RECIPE "
        f"--teacher {printable(teachers[0])} "
        "--data IMAGES -o runs/NAME",
    )
