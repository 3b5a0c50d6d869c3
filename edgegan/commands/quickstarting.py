"""quickstart: the whole job on embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, Overwrite, show_headlines


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

    path, headlines = run_quickstart(
        output, app=into if into.is_dir() else None, plan=Plan(), overwrite=overwrite
    )
    show_headlines(path, headlines, as_json)
