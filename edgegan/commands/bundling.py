"""bundle: models into an Android app or a web page, and out again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, Overwrite, choose, show
from edgegan.errors import ConfigError
from edgegan.export.bundles import BUNDLES
from edgegan.streams import printable


def bundle(
    run: Annotated[Path, typer.Argument(help="run folder with an exported student .tflite")],
    target: Annotated[
        str, typer.Option(help=f"what to bundle for: {' or '.join(BUNDLES)}")
    ] = "android",
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            "-o",
            help="the Android project (default android_demo) or the folder of the page (default RUN/web)",
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="another run whose student goes into the same app; repeat for several"),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, fp16 or int8; repeat for several side by side; default the smallest exported"
        ),
    ] = None,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher", help="the teacher beside the student, to compare them on one picture"
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="start of the models' ids; default the recipe's name")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="take this run's models out of the app or page again")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="web: allow fetching LiteRT.js through npm, once")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Copy the student, its model.json, golden tensors and samples into the Android app, or make a web page of it.

    The app and the page read float32 NHWC pictures; other models are refused. Several runs can share one app: bundle
    them one after the other or with --also. The page is a static folder for any web server; its runtime (LiteRT.js)
    is fetched through npm once, with --download, and kept in the cache.
    """
    from edgegan.artefact import PRECISIONS

    choose("--target", [target], tuple(BUNDLES))
    if precision is not None:
        precision = choose("--precision", precision, PRECISIONS)
    if name is not None and also:
        raise ConfigError(
            "--name names one run; bundle the runs of --also in commands of their own"
        )
    from edgegan.export.bundle import Choice, bundle_run, remove_run

    folder = into or BUNDLES[target].default_folder(run)
    results: list[Path] = []
    for source in [run, *(also or [])]:
        if remove:
            results += remove_run(source, target, folder, name)
        else:
            selected = Choice(precisions=precision, teacher=teacher, name=name)
            results += bundle_run(
                source, target, folder, selected, overwrite=overwrite, download=download
            )
    lines = [printable(path) for path in results]
    if not remove and (hint := BUNDLES[target].how_to_open(folder)):
        lines.append(hint)
    show([str(path) for path in results], as_json, "\n".join(lines))
