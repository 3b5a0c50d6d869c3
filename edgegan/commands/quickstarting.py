"""quickstart: the whole job on embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, Overwrite, show, show_headlines
from edgegan.streams import printable


def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for everything")] = Path(
        "runs/quickstart"
    ),
    into: Annotated[
        Path, typer.Option(help="the Android project, bundled into when it is there")
    ] = Path("android_demo"),
    brief: Annotated[
        bool,
        typer.Option(
            "--brief",
            help="fewer training steps, TFLite only, no bench and report: models for the app",
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole job on embedded data in a few minutes: teach, compress, export, bench, report, bundle."""
    from edgegan.quickstart import Plan
    from edgegan.quickstart import quickstart as run_quickstart

    if brief:
        from edgegan.quickstart import quickstart_brief

        run = quickstart_brief(output, overwrite=overwrite)
        show({"run": str(run)}, as_json, f"run: {printable(run)}")
        return
    path, headlines = run_quickstart(
        output, app=into if into.is_dir() else None, plan=Plan(), overwrite=overwrite
    )
    show_headlines(path, headlines, as_json)
