"""The command line. Heavy imports live inside the commands, so that --help is instant."""

from __future__ import annotations

import errno
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any, NoReturn

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
    teaching,
)
from edgegan.console import emit, say
from edgegan.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_USAGE, EdgeGANError

COMMANDS: dict[str, Callable[..., Any]] = {
    "import": packages.import_command,
    "zoo": packages.zoo,
    "inspect": packages.inspect,
    "train": teaching.train,
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

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

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
    signal.signal(signal.SIGTERM, stop)
    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # what the library makes of KeyboardInterrupt
            raise KeyboardInterrupt
    except EdgeGANError as error:
        say(f"edgegan: {error}", always=True)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        say("edgegan: interrupted; the same command goes on from what is finished")
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise_as_bug()
        where = error.filename or f"the output or temporary files ({tempfile.gettempdir()})"
        advice = "free space, mind its permissions, or choose another folder with -o"
        say(f"edgegan: cannot use {where}: {error.strerror}; {advice}", always=True)
        sys.exit(EXIT_USAGE)
    except Exception as error:
        shown = getattr(error, "show", None)  # usage errors of the command-line library
        if shown is not None and hasattr(error, "exit_code"):
            shown()
            sys.exit(error.exit_code)
        raise_as_bug()
    sys.exit(code or 0)


def stop(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as Ctrl-C does: temporary files go, child processes end, what is finished stays."""
    raise KeyboardInterrupt


def raise_as_bug() -> NoReturn:
    """Prints the exception at hand and ends with the code of a bug."""
    traceback.print_exc()
    say("edgegan: this is a bug; please report it with the lines above", always=True)
    sys.exit(EXIT_BUG)
