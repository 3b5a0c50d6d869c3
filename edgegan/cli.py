"""The command line. Heavy imports live inside the commands, so that --help is instant."""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from edgegan import __version__, streams
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
    preparing,
    quickstarting,
    teaching,
)
from edgegan.console import emit, say
from edgegan.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_MISSING, EXIT_USAGE, EdgeGANError

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

CANNOT_WRITE = "free space, mind its permissions, or choose another folder with -o"
WRONG_NAME = "give a shorter name, or one that is what the command expects"
UNUSABLE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG), CANNOT_WRITE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EIO, errno.EBUSY), CANNOT_WRITE),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.ENOTDIR), WRONG_NAME),
    **dict.fromkeys((errno.EISDIR, errno.ENXIO, errno.ENODEV), WRONG_NAME),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files: ulimit -n"),
}
NAME_SHOWN = 200
MOMENT_S = 0.05
interrupted: set[int] = set()  # signals that asked the command to end

app = typer.Typer(
    name="edgegan",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def with_results_apart(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, while it works with stdout kept for its result."""

    @functools.wraps(command)
    def run_apart(*arguments: Any, **options: Any) -> Any:
        streams.keep_stdout_for_results()
        return command(*arguments, **options)

    return run_apart


for name, command in COMMANDS.items():
    app.command(name)(with_results_apart(command))
app.add_typer(devices.devices, name="devices")
app.add_typer(preparing.data, name="data")


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
    interrupted.clear()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    streams.prepare()
    kept, sys.unraisablehook = sys.unraisablehook, raise_again
    try:
        code = run()
    except KeyboardInterrupt:  # once more, while the first was told
        code = EXIT_INTERRUPTED
    sys.unraisablehook = kept
    streams.finish()
    sys.exit(code)


def run() -> int:
    """The exit code of the command line; says why where it is not 0."""
    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # what the library makes of KeyboardInterrupt
            raise KeyboardInterrupt
        return code or 0
    except (typer.Abort, KeyboardInterrupt) as error:
        early = error.__cause__  # the library takes a file that ends early for an interruption
        if isinstance(early, EOFError):
            return code_of(early)
    except Exception as error:
        if not interrupted:  # else what some library made of the interruption
            return code_of(error)
    say("edgegan: interrupted; the same command goes on from what is finished")
    return EXIT_INTERRUPTED


def code_of(error: Exception) -> int:
    """Says what ended a command, in one line unless it is a bug; returns the exit code."""
    if isinstance(error, EdgeGANError):
        say(f"edgegan: {error}", always=True)
        return error.exit_code
    if isinstance(error, MemoryError):
        say(
            "edgegan: out of memory; what is finished stays, smaller sizes or batches need less",
            always=True,
        )
        return EXIT_MISSING
    if isinstance(error, OSError) and error.errno in UNUSABLE:
        where = error.filename or f"the output or temporary files ({tempfile.gettempdir()})"
        advice = UNUSABLE[error.errno]
        say(f"edgegan: cannot use {shortened(where)}: {error.strerror}; {advice}", always=True)
        return EXIT_USAGE
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        text = (
            f"{shortened(error.object)} holds bytes that are no UTF-8, which cannot be written here"
        )
        say(f"edgegan: {text}; rename it", always=True)
        return EXIT_USAGE
    show = getattr(error, "show", None)  # usage errors of the command-line library
    if show is not None and hasattr(error, "exit_code"):
        show(file := io.StringIO())
        for line in file.getvalue().splitlines():
            say(line, always=True)
        return int(error.exit_code)
    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line, always=True)
    say("edgegan: this is a bug; please report it with the lines above", always=True)
    return EXIT_BUG


def shortened(name: object) -> str:
    """A name of which a line can be read."""
    text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return (
        text
        if len(text) <= NAME_SHOWN
        else f"{text[: NAME_SHOWN // 2]}...{text[-NAME_SHOWN // 4 :]}"
    )


def stop(number: int, _frame: FrameType | None) -> None:
    """Ctrl-C, or SIGTERM: temporary files go, child processes end, what is finished stays. It is noted as well, since a
    library that is being imported may make another error of it."""
    interrupted.add(number)
    raise KeyboardInterrupt


def raise_again(lost: sys.UnraisableHookArgs) -> None:
    """An interruption that fell where Python drops exceptions, as in a destructor, comes again a moment later."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, MOMENT_S)
    else:
        sys.__unraisablehook__(lost)
