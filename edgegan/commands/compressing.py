"""compress: a teacher becomes a slim student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from edgegan.commands.options import (
    AsJson,
    Overwrite,
    OwnGenerator,
    SkipBad,
    allow,
    choose,
    show,
    with_budgets,
)
from edgegan.console import format_cost
from edgegan.errors import ConfigError
from edgegan.recipe.kinds import COSTS, Method, flag
from edgegan.streams import printable

METHODS = get_args(Method)
SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9}


@with_budgets
def compress(
    recipe: Annotated[
        str, typer.Argument(help="shipped recipe (edgegan recipes lists them) or a YAML file")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="run folder; an interrupted run in it goes on")
    ],
    teacher: Annotated[Path | None, typer.Option(help="generator package or checkpoint")] = None,
    data: Annotated[
        Path | None, typer.Option(help="folder of training inputs: pictures or label maps")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="folder of true pictures, or of the target domain")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="folder of validation inputs")] = None,
    validation_target: Annotated[
        Path | None, typer.Option(help="folder of true validation pictures")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}")
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(help="gan-slimming: int8 (the student learns to run in it) or none"),
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="gan-slimming: widths are multiples of this, such as 8")
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            help="gan-compression: a published width config such as 32_32_48_32_48_48_16_16, taken without a search"
        ),
    ] = None,
    skip_bad: SkipBad = False,
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
    *,
    given: dict[str, str],
) -> None:
    """Turn a teacher generator into a slim student: distil it at a scale or a budget, search one under budgets, or
    prune to a budget and quantise while distilling."""
    allow(generator)
    from edgegan.recipe.loading import load_recipe

    if method is not None:
        choose("--method", [method], METHODS)
    if quantize is not None:
        choose("--quantize", [quantize], ("int8", "none"))
    paths = {
        "teacher": teacher,
        "data.train": data,
        "data.target": target,
        "data.validation": validation,
        "data.validation_target": validation_target,
    }
    changes: dict[str, Any] = {
        key: str(path.resolve()) for key, path in paths.items() if path is not None
    }
    changes |= {"method": method} if method else {}
    changes |= {"slim.quantize": quantize} if quantize else {}
    changes |= {"slim.round_to": round_to} if round_to is not None else {}
    changes |= {"search.widths": widths} if widths is not None else {}
    changes |= {"data.skip_bad": True} if skip_bad else {}
    changes |= budgets(given)
    overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    parsed = load_recipe(recipe, [*(settings or []), *overrides])
    if dry_run:
        from edgegan.compress.dry_run import dry_run as plan_run

        plan = plan_run(parsed, output, overwrite=overwrite)
        show(plan.as_json(), as_json, plan.text())
        return
    from edgegan.compress.pipeline import compress as run_compress
    from edgegan.metrics.gain import no_gain

    run = run_compress(parsed, output, overwrite=overwrite)
    figures = run.student_figures()
    warnings = [text for text in (no_gain(figures),) if text]
    identity = figures.get("identity_psnr_db")
    beside = f" (untouched input: {identity:.2f} dB)" if identity is not None else ""
    show(
        {"run": str(output), "student": str(output / "student"), **figures, "warnings": warnings},
        as_json,
        f"{printable(output / 'student')}: PSNR to teacher {figures['psnr_to_teacher_db']:.2f} dB{beside}, SSIM "
        f"{figures['ssim_to_teacher']:.3f}, {figures['validation_images']} validation images\n"
        f"{slimmed(figures)}"
        f"next: edgegan export {printable(output)}",
    )


def budgets(given: dict[str, str]) -> dict[str, Any]:
    """Budget options as recipe keys; where any is given, the recipe's own budgets do not hold."""
    found: dict[str, Any] = {f"budget.{kind}": None for kind in COSTS} if given else {}
    for kind, text in given.items():
        place, number = COSTS[kind].place, text
        if place is not None:
            where, separator, number = text.rpartition(":")
            if not separator or not where:
                raise ConfigError(
                    f"{flag(kind)} {text!r}: write it as {place.field.upper()}:NUMBER, {COSTS[kind].example}"
                )
            found[f"budget.{place.field}"] = where
        found[f"budget.{kind}"] = parse_number(flag(kind), number)
    return found


def parse_number(option: str, text: str) -> float:
    """'2.7G', '400k' or '25' as a number above 0; raises ConfigError."""
    scale = SUFFIXES.get(text[-1:].lower(), 1.0)
    digits = text[:-1] if scale != 1.0 else text
    try:
        value = float(digits) * scale
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{option} {text!r} is not a number above 0 such as 2.7G, 400k or 25")
    return value


def slimmed(figures: dict[str, Any]) -> str:
    """What slimming adds to the result."""
    if "predicted_bytes" not in figures:
        return ""
    met = ""
    for kind, aim in figures.get("budget", {}).items():
        if kind != "met_at":
            spent = figures["budget"]["met_at"]
            met = f"; budget {format_cost(aim)} {kind}, met at {format_cost(spent)} ({spent / aim - 1:+.2%})"
    return (
        f"in int8: about {figures['predicted_bytes']:,} bytes, simulated PSNR to teacher "
        f"{figures['int8_psnr_to_teacher_db']:.2f} dB{met}\n"
    )
