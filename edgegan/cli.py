"""The command line. Heavy imports live inside the commands, so that --help is instant."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from edgegan import __version__
from edgegan.commands import (
    bundling,
    comparing,
    compressing,
    devices,
    evaluating,
    explaining,
    exporting,
    linting,
    measuring,
    packages,
    quickstarting,
    training,
)
from edgegan.console import emit, say
from edgegan.errors import EXIT_BUG, EXIT_INTERRUPTED, EdgeGANError

COMMANDS: dict[str, Callable[..., Any]] = {
    "import": packages.import_command,
    "zoo": packages.zoo,
    "inspect": packages.inspect,
    "train": training.train,
    "compress": compressing.compress,
    "compare": comparing.compare,
    "export": exporting.export,
    "lint": linting.lint,
    "bench": measuring.bench,
    "run": exporting.run_command,
    "evaluate": evaluating.evaluate,
    "report": measuring.report,
    "bundle": bundling.bundle,
    "quickstart": quickstarting.quickstart,
    "recipes": explaining.recipes,
    "doctor": explaining.doctor,
}

app = typer.Typer(
    name="edgegan",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(devices.devices, name="devices")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Compress image-to-image GAN generators and run them on the edge.

    The order of work: import or train, compress, export, bench, report, bundle; quickstart does it all.
    """
    if version:
        emit(f"edgegan {__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line; every EdgeGANError is one message and its exit code, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except EdgeGANError as error:
        say(f"edgegan: {error}", always=True)
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
        say("edgegan: this is a bug; please report it with the lines above", always=True)
        sys.exit(EXIT_BUG)
    sys.exit(code or 0)
