"""compare: slimming beside its baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, OwnGenerator, allow, show
from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.streams import printable


def compare(
    recipe: Annotated[
        str, typer.Argument(help="a recipe with a budget: gan_slimming or a YAML file")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="folder; an interrupted comparison in it goes on")
    ],
    teacher: Annotated[Path | None, typer.Option(help="generator package or checkpoint")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of training inputs")] = None,
    validation: Annotated[Path | None, typer.Option(help="folder of validation inputs")] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="comma-separated: uniform, gd, cp, d_cp, cp_d, cascade_ptq, cascade, gs32, gs8, slimming, "
            "gan_compression; ablations of the published form: gs_no_d, gs_no_cp (gs32 is without quantization), of "
            "ours: norm_scores, no_int8, cut_first"
        ),
    ] = "uniform,gd,cp,d_cp,cp_d,cascade_ptq,cascade,gs32,gs8,slimming,gan_compression",
    seeds: Annotated[
        int, typer.Option(min=1, help="how many seeds, counted from the recipe's")
    ] = 3,
    export: Annotated[
        bool, typer.Option("--export", help="export every student to int8 .tflite and measure it")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="change a recipe key: distill.steps=2000")
    ] = None,
    generator: OwnGenerator = None,
    as_json: AsJson = False,
) -> None:
    """Train slimming and its baselines on the same data, steps and budget: one table, one plot."""
    allow(generator)
    from edgegan.recipe.loading import load_recipe

    overrides = list(settings or [])
    for key, value in (("teacher", teacher), ("data.train", data), ("data.validation", validation)):
        if value is not None:
            overrides.append(f"{key}={json.dumps(str(value.resolve()))}")
    parsed = load_recipe(recipe, overrides)
    from edgegan.compare.comparison import compare as run_compare
    from edgegan.compare.comparison import summary
    from edgegan.compare.summary import markdown, write_comparison
    from edgegan.ownership.folders import held

    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    if not chosen:
        raise ConfigError("--methods names none; leave it out for all")
    with held(output, "compare"):
        entries = run_compare(
            parsed,
            output,
            chosen,
            range(parsed.seed, parsed.seed + seeds),
            exported_file if export else None,
        )
        write_comparison(output, parsed, entries)
    show(
        {"folder": str(output), "summary": summary(entries)},
        as_json,
        f"{markdown(parsed, entries)}\n{printable(output / 'compare.md')}, compare.json and compare.svg",
    )


def exported_file(run: Path) -> dict[str, float]:
    """Exports a run's student to int8 .tflite and returns its size and PSNR to the teacher; nothing where it misses
    a gate, which is said."""
    from edgegan.artefact import find_exported
    from edgegan.errors import ParityError
    from edgegan.export.exporter import export
    from edgegan.export.request import ExportOptions

    options = ExportOptions(which="student", force=True)  # the table says how near each came
    try:
        folder = export(run, None, ["tflite"], ["int8"], options)
    except ParityError as error:
        say(f"warning: {run.name} has no file in the table: {error}")
        return {}
    made = find_exported(folder, role="student", precision="int8", target="tflite")
    assert made is not None
    model = made[1]
    found: dict[str, float] = {"file_bytes": model.bytes}
    if model.psnr_to_teacher_db is not None:
        found["file_psnr_db"] = model.psnr_to_teacher_db
    return found
