"""export and run: artefacts are made and applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import (
    AsJson,
    Overwrite,
    OwnGenerator,
    allow,
    choose,
    parse_size,
    show,
)
from edgegan.console import table


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
