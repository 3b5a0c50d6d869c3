"""compress: a teacher becomes a slim student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan.commands.options import AsJson, Overwrite, OwnGenerator, allow, choose, show
from edgegan.console import format_cost
from edgegan.errors import ConfigError

METHODS = ("distill", "gan-compression", "gan-slimming")
SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9}


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
    budget_macs: Annotated[
        str | None,
        typer.Option(
            help="multiply-adds of one image, such as 2.7G; budgets given here replace the recipe's"
        ),
    ] = None,
    budget_params: Annotated[str | None, typer.Option(help="weights, such as 400k")] = None,
    budget_bytes: Annotated[
        str | None, typer.Option(help="bytes of the int8 .tflite file, such as 0.9M")
    ] = None,
    budget_ms: Annotated[
        str | None,
        typer.Option(
            help="DEVICE:MS of the int8 artefact: host:25, or a latency table:25 (gan-compression)"
        ),
    ] = None,
    budget_instructions: Annotated[
        str | None,
        typer.Option(
            help="CORE:COUNT of the int8 artefact on arm64: cortex-a76:250M (gan-compression)"
        ),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(help="gan-slimming: int8 (the student learns to run in it) or none"),
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="gan-slimming: widths are multiples of this, such as 8")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="leave out files that cannot be read, by name")
    ] = False,
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
    """Turn a teacher generator into a slim student: distil a given shape, search one under a budget, or prune
    to a budget and quantise while distilling."""
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
    changes |= {"data.skip_bad": True} if skip_bad else {}
    changes |= budgets(budget_macs, budget_params, budget_bytes, budget_ms, budget_instructions)
    overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    parsed = load_recipe(recipe, [*(settings or []), *overrides])
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
        f"{slimmed(figures)}"
        f"next: edgegan export {output}",
    )


def budgets(
    macs: str | None,
    params: str | None,
    size: str | None,
    ms: str | None,
    instructions: str | None,
) -> dict[str, Any]:
    """Budget options as recipe keys; where any is given, the recipe's own budgets do not hold."""
    given = (macs, params, size, ms, instructions)
    found: dict[str, Any] = {}
    if any(text is not None for text in given):
        kinds = ("macs", "params", "bytes", "ms", "instructions")
        found = dict.fromkeys((f"budget.{kind}" for kind in kinds), None)
    for name, text in (("macs", macs), ("params", params), ("bytes", size)):
        if text is not None:
            found[f"budget.{name}"] = parse_number(f"--budget-{name}", text)
    for name, where, text in (("ms", "device", ms), ("instructions", "core", instructions)):
        if text is not None:
            place, separator, number = text.rpartition(":")
            if not separator or not place:
                example = "host:25" if name == "ms" else "cortex-a76:250M"
                raise ConfigError(f"--budget-{name} {text!r}: write it as PLACE:NUMBER, {example}")
            found[f"budget.{where}"] = place
            found[f"budget.{name}"] = parse_number(f"--budget-{name}", number)
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
