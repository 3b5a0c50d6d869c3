"""evaluate: how good the pictures are, each figure with its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgegan.commands.options import (
    AsJson,
    Deadline,
    OwnGenerator,
    SkipBad,
    Trust,
    allow,
    limit_foreign,
    parse_size,
    show,
)
from edgegan.console import table
from edgegan.errors import ConfigError, OutputError
from edgegan.streams import printable


def evaluate(
    source: Annotated[
        Path, typer.Argument(help="run (its student), package, artefact, or folder of pictures")
    ],
    against: Annotated[
        Path | None,
        typer.Argument(
            help="teacher package (default the run's), or a second folder of pictures or its .npz"
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="pictures or label maps to feed; default the run's validation pictures"),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="real pictures of the target domain, for Frechet and KID; or their statistics (.npz)"
        ),
    ] = None,
    feature_weights: Annotated[
        Path | None,
        typer.Option(
            help="network of Frechet distance and KID: Inception weights, TorchScript, ONNX"
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="its layer: inception-2048, inception-1280, inception-768 or network"),
    ] = None,
    perceptual: Annotated[
        list[str] | None,
        typer.Option(
            help="VGG16 or SqueezeNet weights, or 'teacher' or 'discriminator'; repeatable"
        ),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="network of the Inception score: TorchScript, ONNX, Inception"),
    ] = None,
    segmentation: Annotated[
        Path | None,
        typer.Option(help="network of mean IoU: TorchScript, ONNX, DRN-D weights or a package"),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, help="number of its classes; default those it names")
    ] = None,
    ignore: Annotated[
        int | None, typer.Option(min=0, help="label of pixels that do not count")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="label maps of the judged pictures by name; default label-map inputs"),
    ] = None,
    instances: Annotated[
        Path | None, typer.Option(help="instance maps of label-map inputs; default their labels")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="sets, scaling and rounding as published: cyclegan, gan-compression, gan-slimming or clean"
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="centre crop, 256 or HEIGHTxWIDTH; default the package's")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="pictures at most")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="allow fetching FID's Inception and VGG16 weights")
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="resamplings of an interval; 0: none")
    ] = 100,
    threads: Annotated[int, typer.Option(min=1, help="threads of an artefact's runtime")] = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="also write the JSON here")
    ] = None,
    generator: OwnGenerator = None,
    trust: Trust = False,
    deadline: Deadline = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Judge a generator against its teacher, or two folders of pictures: PSNR, SSIM, Frechet, KID, mIoU and more.

    Every figure is printed with its protocol and a bootstrap interval. A run keeps them in evaluate.json.
    """
    allow(generator)
    limit_foreign(trust, deadline)
    if output is not None and (output.exists() or output.is_symlink()):
        raise OutputError(f"{output} exists; choose another file with -o")
    from edgegan.errors import InputError
    from edgegan.evaluation.evaluate import Settings, evaluate_folders, evaluate_generator
    from edgegan.files import write_json
    from edgegan.metrics.published_protocols import published_protocol
    from edgegan.run import package_of

    if not source.exists():
        raise InputError(
            f"{source} does not exist; give a run, a package, an artefact or a folder of pictures"
        )
    settings = Settings(
        features=features,
        feature_weights=feature_weights,
        perceptual=list(perceptual or []),
        classifier=classifier,
        segmentation=segmentation,
        classes=classes,
        ignore=ignore,
        labels=labels,
        reference=reference,
        instances=instances,
        published=published_protocol(protocol),
        size=parse_size(size),
        most=count,
        download=download,
        repeats=bootstrap,
        threads=threads,
        skip_bad=skip_bad,
    )
    if source.is_dir() and package_of(source) is None:
        if against is None:
            raise ConfigError(
                f"{source} is a folder of pictures: give a second folder to compare it with"
            )
        if images is not None:
            raise ConfigError("--images does not go with two folders of pictures")
        result = evaluate_folders(source, against, settings)
    else:
        result = evaluate_generator(source, against, images, settings)
    if output is not None:
        write_json(output, result)
    show(result, as_json, evaluation_text(result))


def evaluation_text(result: dict[str, Any]) -> str:
    """The figures as a table, then every protocol, then what was left out."""
    from edgegan.metrics.protocol import Figure

    figures = [Figure.model_validate(each) for each in result["figures"]]
    rows = [
        [each.name, each.text(), str(each.count), "higher" if each.higher_is_better else "lower"]
        for each in figures
    ]
    lines = [
        printable(f"{result['subject']} against {result['against']}"),
        table(["figure", "value (95 % interval)", "pictures", "better"], rows),
        *(printable(line) for line in protocol_lines(result)),
        "protocol",
        *(printable(f"  {each.name} = {each.protocol.line()}") for each in figures),
        *(printable(f"note: {note}") for note in result["notes"]),
    ]
    if "written" in result:
        lines.append(printable(f"kept in {result['written']}"))
    return "\n".join(lines)


def protocol_lines(result: dict[str, Any]) -> list[str]:
    """What a published protocol set."""
    about = result.get("protocol")
    if about is None:
        return []
    return [f"set by --protocol {about['name']}", *(f"  {line}" for line in about["sets"])]
