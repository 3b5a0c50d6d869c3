"""The command line. Heavy imports live inside the commands, so that --help is instant."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from edgegan import __version__
from edgegan.commands import comparing, compressing, exporting, measuring, packages, quickstarting
from edgegan.console import emit, say
from edgegan.errors import EXIT_BUG, EXIT_INTERRUPTED, EdgeGANError

COMMANDS: dict[str, Callable[..., Any]] = {
    "import": packages.import_command,
    "zoo": packages.zoo,
    "inspect": packages.inspect,
    "compress": compressing.compress,
    "compare": comparing.compare,
    "export": exporting.export,
    "bench": measuring.bench,
    "run": exporting.run_command,
    "report": measuring.report,
    "bundle": exporting.bundle,
    "quickstart": quickstarting.quickstart,
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
