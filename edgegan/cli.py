"""The command line. Heavy imports live inside the commands, so that --help is instant."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan import __version__
from edgegan.console import emit, say, table
from edgegan.errors import EXIT_BUG, EXIT_INTERRUPTED, ConfigError, EdgeGANError, nearest

app = typer.Typer(
    name="edgegan",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an output that exists")]
OwnGenerator = Annotated[
    str | None,
    typer.Option(
        "--generator", help="package.module:factory of a package made by your own generator"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """'256' or '192x256' to (height, width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(parts) not in (1, 2):
        raise ConfigError(f"--size {text!r}: write it as 256 or as HEIGHTxWIDTH, such as 192x256")
    return int(parts[0]), int(parts[-1])


def show(result: Any, as_json: bool, text: str) -> None:
    """Prints a command's result: JSON for machines, text for people."""
    emit(json.dumps(result, indent=2) if as_json else text)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Compress image-to-image GAN generators and run them on the edge.

    The order of work: import, compress, export, bench, report, bundle; quickstart does it all on embedded data.
    """
    if version:
        emit(f"edgegan {__version__}")
        raise typer.Exit


@app.command("import")
def import_command(
    output: Annotated[Path, typer.Option("-o", "--output", help="generator package to write")],
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="weights: .pth or .safetensors state dict; may be left out with --generator"
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="insist on a family (edgegan zoo lists them)")
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="GAN Compression config: cut a super net to 32_32_48_...")
    ] = None,
    legacy: Annotated[
        bool,
        typer.Option("--legacy", help="read --widths by the rule of the paper's edges2shoes net"),
    ] = False,
    upsampling: Annotated[str | None, typer.Option(help="of SPADE: more or normal")] = None,
    generator: Annotated[
        str | None, typer.Option(help="your own nn.Module: package.module:factory")
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(help="of your own generator: CHANNELSxHEIGHTxWIDTH, such as 3x256x256"),
    ] = None,
    discriminator: Annotated[
        Path | None, typer.Option(help="PatchGAN checkpoint to keep beside the generator")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="default image size, 256 or HEIGHTxWIDTH")
    ] = None,
    name: Annotated[str | None, typer.Option(help="short name of the model")] = None,
    licence: Annotated[
        str, typer.Option(help="licence of the weights, as an SPDX name")
    ] = "unstated",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Read a public checkpoint, or your own generator, into a generator package."""
    from edgegan.models.packaging import import_generator, import_to_package

    if generator is not None:
        refuse_with_generator(family=family, widths=widths, discriminator=discriminator, size=size)
        config = import_generator(
            generator,
            parse_input_shape(input_shape),
            output,
            checkpoint=checkpoint,
            name=name,
            licence=licence,
            overwrite=overwrite,
        )
    elif checkpoint is None:
        raise ConfigError(
            "give a checkpoint file, or your own generator with --generator package.module:factory"
        )
    else:
        config = import_to_package(
            checkpoint,
            output,
            family=family,
            discriminator=discriminator,
            size=parse_size(size) or (256, 256),
            name=name,
            licence=licence,
            widths=widths,
            legacy=legacy,
            upsampling=upsampling,
            overwrite=overwrite,
        )
    changes = config.source["changes"]
    lines = "".join(f"\n  {change}" for change in changes)
    show(
        {
            "package": str(output),
            "family": config.family,
            "parameters": config.parameters,
            "changes": changes,
        },
        as_json,
        f"{output}: family {config.family}, {config.parameters:,} parameters{lines}\n"
        f"next: edgegan inspect {output}, or edgegan compress RECIPE --teacher {output} --data IMAGES -o runs/NAME",
    )


def parse_input_shape(text: str | None) -> tuple[int, int, int]:
    """'3x256x256' to (channels, height, width)."""
    parts = (text or "").lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(
            "--generator needs --input-shape CHANNELSxHEIGHTxWIDTH, such as 3x256x256"
        )
    channels, height, width = map(int, parts)
    return channels, height, width


def refuse_with_generator(**options: object) -> None:
    """Options that mean nothing for a generator of one's own are refused, not ignored."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"--{option} does not go with --generator")


def allow(generator: str | None) -> None:
    """Lets packages made by this factory be loaded."""
    if generator is not None:
        from edgegan.models.custom import allow_generator

        allow_generator(generator)


@app.command()
def zoo(as_json: AsJson = False) -> None:
    """List every published generator with its parameters and MACs."""
    from edgegan.models.tables import zoo_rows, zoo_table

    rows = zoo_rows()
    show(rows, as_json, zoo_table(rows))


@app.command()
def inspect(
    package: Annotated[Path, typer.Argument(help="generator package, or a run (its student)")],
    size: Annotated[str | None, typer.Option(help="image size, 256 or HEIGHTxWIDTH")] = None,
    generator: OwnGenerator = None,
    as_json: AsJson = False,
) -> None:
    """Print a package's layers (shape, MACs, parameters, share) and its channel groups."""
    from edgegan.models.tables import inspect_package, inspect_table

    allow(generator)
    folder = package / "student" if (package / "run.json").is_file() else package
    found = inspect_package(folder, parse_size(size))
    show(found, as_json, inspect_table(found))


@app.command()
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


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="run folder or generator package")],
    target: Annotated[
        list[str] | None, typer.Option(help="onnx or tflite; repeat for several; default both")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, fp16 or int8; repeat for several; default all"),
    ] = None,
    which: Annotated[str, typer.Option(help="of a run: student, teacher or both")] = "both",
    size: Annotated[
        str | None, typer.Option(help="image size, 256 or HEIGHTxWIDTH; default the package's")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="images for int8 ranges; default the run's training crops"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder; default RUN/export")
    ] = None,
    generator: OwnGenerator = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Lower to ONNX and TFLite and prove every artefact against PyTorch."""
    from edgegan.artefact import PRECISIONS, TARGETS, exported_models

    allow(generator)
    targets = choose("--target", target or list(TARGETS), TARGETS)
    precisions = choose("--precision", precision or list(PRECISIONS), PRECISIONS)
    choose("--which", [which], ("student", "teacher", "both"))
    from edgegan.export.exporter import export as run_export

    folder = run_export(
        source,
        output,
        targets,
        precisions,
        which=which,
        size=parse_size(size),
        calibration=calibration,
        overwrite=overwrite,
    )
    models = [model for _, model in exported_models(folder)]
    rows = [
        [
            m.file,
            f"{m.bytes / 1e6:.2f}",
            f"{m.parity.psnr_db:.1f}",
            f"{m.parity.max_abs:.1e}",
            "" if m.psnr_to_teacher_db is None else f"{m.psnr_to_teacher_db:.2f}",
            m.quantization,
        ]
        for m in models
    ]
    text = table(
        ["artefact", "MB", "PSNR to PyTorch dB", "max abs", "PSNR to teacher dB", "quantization"],
        rows,
    )
    show(
        {"export": str(folder), "artefacts": [m.model_dump(mode="json") for m in models]},
        as_json,
        f"{text}\nnext: edgegan bench {source if output is None else folder}",
    )


@app.command()
def bench(
    source: Annotated[Path, typer.Argument(help="run, export folder or one artefact")],
    device: Annotated[str, typer.Option(help="where to measure: host")] = "host",
    threads: Annotated[int, typer.Option(min=1, help="threads of the runtime")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="time to spend on each artefact")] = 5.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder of records; default RUN/bench")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure latency, size and cost of teacher and student in one interleaved run."""
    choose("--device", [device], ("host",))
    from edgegan.benchmarks.host import bench as run_bench
    from edgegan.benchmarks.table import bench_table

    records = run_bench(source, output, threads, seconds)
    following = f"\nnext: edgegan report {source}" if (source / "run.json").is_file() else ""
    show(
        [record.model_dump(mode="json") for record in records],
        as_json,
        bench_table(records) + following,
    )


@app.command("run")
def run_command(
    source: Annotated[Path, typer.Argument(help="package, run, or .onnx or .tflite artefact")],
    images: Annotated[list[Path], typer.Argument(help="pictures or folders of pictures")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for the results (PNG)")],
    fit: Annotated[
        str, typer.Option(help="artefacts have one size: tile the picture, or resize it")
    ] = "tile",
    threads: Annotated[int, typer.Option(min=1, help="threads of the runtime")] = 2,
    generator: OwnGenerator = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Apply a package or any artefact to pictures of any size."""
    allow(generator)
    choose("--fit", [fit], ("tile", "resize"))
    from edgegan.apply import run_on_images

    files = run_on_images(source, images, output, fit=fit, threads=threads, overwrite=overwrite)
    show([str(path) for path in files], as_json, f"{len(files)} pictures in {output}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="run folder, exported and benched")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file; default RUN/report.html")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with the headline figures, tables and before/after pictures."""
    from edgegan.benchmarks.report import report as run_report

    path, headline = run_report(run, output)
    show_headline(path, headline, as_json)


@app.command()
def bundle(
    run: Annotated[Path, typer.Argument(help="run folder with an exported student .tflite")],
    target: Annotated[str, typer.Option(help="what to bundle for: android")] = "android",
    into: Annotated[Path, typer.Option(help="the Android project")] = Path("android_demo"),
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16 or int8; default the smallest exported")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Copy the student, its model.json, golden tensors and samples into the Android app's assets."""
    from edgegan.artefact import PRECISIONS

    choose("--target", [target], ("android",))
    if precision is not None:
        choose("--precision", [precision], PRECISIONS)
    from edgegan.export.bundle import bundle_android

    files = bundle_android(run, into, precision, overwrite=overwrite)
    show([str(path) for path in files], as_json, "\n".join(str(path) for path in files))


@app.command()
def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for everything")] = Path(
        "runs/quickstart"
    ),
    into: Annotated[
        Path, typer.Option(help="the Android project, bundled into when it is there")
    ] = Path("android_demo"),
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole job on embedded data in a few minutes: teach, compress, export, bench, report, bundle."""
    from edgegan.quickstart import Plan
    from edgegan.quickstart import quickstart as run_quickstart

    path, headline = run_quickstart(
        output, app=into if into.is_dir() else None, plan=Plan(), overwrite=overwrite
    )
    show_headline(path, headline, as_json)


def show_headline(path: Path, headline: Sequence[Any], as_json: bool) -> None:
    """Prints a report's path and its figures."""
    text = "\n".join(f"  {item.value:>9}  {item.label}: {item.detail}" for item in headline)
    figures = [
        {"value": item.value, "label": item.label, "detail": item.detail} for item in headline
    ]
    show({"report": str(path), "headline": figures}, as_json, f"{text}\nreport: {path}")


def choose(option: str, values: list[str], allowed: Sequence[str]) -> list[str]:
    """The given values in the allowed order; raises ConfigError with the nearest allowed one."""
    for value in values:
        if value not in allowed:
            raise ConfigError(
                f"{option} {value!r} is unknown{nearest(value, allowed)}; choose from {', '.join(allowed)}"
            )
    return [value for value in allowed if value in values]


def main() -> None:
    """Runs the command line; every EdgeGANError is one message and its exit code, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except EdgeGANError as error:
        say(f"edgegan: {error}")
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        say("edgegan: interrupted; the same command goes on from the last checkpoint")
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        shown = getattr(error, "show", None)  # usage errors of the command-line library
        if shown is not None and hasattr(error, "exit_code"):
            shown()
            sys.exit(error.exit_code)
        traceback.print_exc()
        say("edgegan: this is a bug; please report it with the lines above")
        sys.exit(EXIT_BUG)
    sys.exit(code or 0)
