"""export and run: artefacts are made and applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegan.commands.options import (
    AsJson,
    Deadline,
    Overwrite,
    OwnGenerator,
    SkipBad,
    Trust,
    allow,
    choose,
    limit_foreign,
    parse_size,
    show,
)
from edgegan.console import table
from edgegan.errors import ConfigError
from edgegan.export.targets import DEFAULT_TARGETS, TARGETS
from edgegan.streams import printable

if TYPE_CHECKING:
    from edgegan.export.signature import Signature


def export(
    source: Annotated[Path, typer.Argument(help="run folder or generator package")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{' or '.join(TARGETS)}; repeat for several; default {' and '.join(DEFAULT_TARGETS)}"
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, fp16 or int8; repeat for several; default all"),
    ] = None,
    which: Annotated[str, typer.Option(help="of a run: student, teacher or both")] = "both",
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="image size, 256 or HEIGHTxWIDTH; default the package's; several: a .tflite with a signature each"
        ),
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help=".onnx takes any height and width the generator does")
    ] = False,
    layout: Annotated[
        str | None, typer.Option(help="nhwc or nchw; default nhwc for .tflite, nchw for .onnx")
    ] = None,
    colour: Annotated[str, typer.Option(help="order of colours in and out: rgb or bgr")] = "rgb",
    value_range: Annotated[
        str, typer.Option("--range", help="values of black and white in and out: -1,1, 0,1 or any")
    ] = "-1,1",
    io: Annotated[
        str, typer.Option(help="numbers in and out: float32 or uint8 (0 to 255)")
    ] = "float32",
    labels: Annotated[
        str, typer.Option(help="label maps go in as index (class numbers) or one-hot channels")
    ] = "index",
    calibration: Annotated[
        Path | None,
        typer.Option(help="images for int8 ranges; default the run's training crops"),
    ] = None,
    int8: Annotated[
        str,
        typer.Option(help="int8 policy: auto, static, dynamic, mixed or int16x8"),
    ] = "auto",
    calibration_method: Annotated[
        str,
        typer.Option(help="int8 ranges: auto, learned, min-max, percentile or moving-average"),
    ] = "auto",
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="rank layers by what int8 costs in each: CSV beside the artefact"
        ),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="keep the worst layers float until int8 is at most this many dB further from the teacher than fp32"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder; default RUN/export")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="keep a student that is no nearer to its teacher than the untouched input",
        ),
    ] = False,
    generator: OwnGenerator = None,
    deadline: Deadline = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Lower to ONNX and TFLite and prove every artefact against PyTorch."""
    from edgegan.artefact import PRECISIONS, exported_models

    allow(generator)
    limit_foreign(False, deadline)
    targets = choose("--target", target or list(DEFAULT_TARGETS), tuple(TARGETS))
    precisions = choose("--precision", precision or [], PRECISIONS)
    choose("--which", [which], ("student", "teacher", "both"))
    from edgegan.export.exporter import export as run_export
    from edgegan.export.policy import Int8Options
    from edgegan.export.request import ExportOptions

    folder = run_export(
        source,
        output,
        targets,
        precisions,
        ExportOptions(
            which=which,
            sizes=tuple(pair for text in size or () if (pair := parse_size(text))),
            calibration=calibration,
            int8=Int8Options(int8, calibration_method, sensitivity, max_drop),
            signature=parse_signature(layout, colour, value_range, io, labels),
            dynamic=dynamic,
            overwrite=overwrite,
            force=force,
        ),
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
        f"{text}\nnext: edgegan bench {printable(source if output is None else folder)}",
    )


def parse_signature(
    layout: str | None, colour: str, value_range: str, io: str, labels: str
) -> Signature:
    """The outside of the artefacts from the options; raises ConfigError naming a wrong one."""
    from edgegan.export.signature import Signature

    if layout is not None:
        choose("--layout", [layout.lower()], ("nhwc", "nchw"))
    choose("--colour", [colour], ("rgb", "bgr"))
    choose("--io", [io], ("float32", "uint8"))
    choose("--labels", [labels], ("index", "one-hot"))
    try:
        low, high = (float(part) for part in value_range.split(","))
    except ValueError as error:
        raise ConfigError(f"--range {value_range}: write it as BLACK,WHITE, such as 0,1") from error
    return Signature.model_validate(
        {
            "layout": None if layout is None else layout.upper(),
            "colour": colour,
            "range": (low, high),
            "io": io,
            "labels": labels,
        }
    )


def run_command(
    source: Annotated[Path, typer.Argument(help="package, run, or .onnx or .tflite artefact")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for the results (PNG)")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="pictures, or index PNGs of label maps, or folders of them"),
    ] = None,
    fit: Annotated[
        str, typer.Option(help="artefacts have one size: tile the picture, or resize it")
    ] = "tile",
    count: Annotated[
        int | None, typer.Option(min=1, help="pictures to draw with a generator from noise")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of that noise")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="threads of the runtime")] = 2,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="of a generator with several inputs: folder of the further ones, such as masks; repeat"
        ),
    ] = None,
    generator: OwnGenerator = None,
    trust: Trust = False,
    deadline: Deadline = None,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Apply a package or any artefact to pictures or label maps of any size, or draw pictures from noise."""
    allow(generator)
    limit_foreign(trust, deadline)
    choose("--fit", [fit], ("tile", "resize"))
    from edgegan.runtime.apply import Together, run_on_images, run_on_noise

    if count is not None and images:
        raise ConfigError("--count draws from noise and takes no pictures: leave one of them out")
    if count is None and not images:
        raise ConfigError("give pictures, label maps or folders of them; or --count for noise")
    if count is not None:
        files = run_on_noise(source, count, seed, output, threads=threads, overwrite=overwrite)
    else:
        files = run_on_images(
            source,
            Together(images or [], beside or []),
            output,
            fit=fit,
            threads=threads,
            overwrite=overwrite,
            skip_bad=skip_bad,
        )
    show([str(path) for path in files], as_json, f"{len(files)} pictures in {printable(output)}")
