"""Commands and functions in processes of their own, forked from a server that has imported everything.

A fresh interpreter spends two seconds on importing torch; a forked one starts in milliseconds, shares nothing that a
command changes, can be killed, and ends with a real exit code. The server starts with the first command of a test
process and ends with it; a converter that a command starts is forked from a server of its own
(support/warm_python.py). What must be seen from the first import on takes a fresh interpreter instead:
`support.commands.edgegan(..., fresh=True)`.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from support.warm_python import write_launcher

TESTS = Path(__file__).resolve().parents[1]
Place = tuple[
    str, dict[str, str], str, str
]  # working directory, environment, files of stdout and stderr


def run_in_place(place: Place, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """In the child: takes the place of a fresh process, then ends as the interpreter would."""
    folder, environment, output, errors = place
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = f"{environment['EDGEGAN_WARM']}/python"
    read_from = os.open(os.devnull, os.O_RDONLY)
    os.dup2(read_from, 0)
    for descriptor, name in ((1, output), (2, errors)):
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    code: object = 0
    try:
        function(*arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.exit(code)  # type: ignore[arg-type]


def call_main(module: str, name: str, arguments: list[str]) -> None:
    """`main()` of a module, as the program `name` with these arguments."""
    sys.argv = [name, *arguments]
    importlib.import_module(module).main()


def compress(settings: list[str], folder: str) -> None:
    """`edgegan compress resnet` with these settings."""
    from edgegan.compress.pipeline import compress
    from edgegan.recipe.loading import load_recipe

    compress(load_recipe("resnet", settings), Path(folder))


@cache
def start_server() -> None:
    """Starts the server that commands are forked from. It takes its paths from the environment: those that
    multiprocessing hands on reach its children alone, and what is to be imported beforehand would not be found."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(TESTS), str(TESTS.parent), *filter(None, [before])]
    )
    try:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["support.warm"])
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@cache
def converters() -> str:
    """The folder of the server that converters of commands are forked from; it starts with the first of them."""
    folder = tempfile.mkdtemp(prefix="edgegan-warm-")
    write_launcher(folder)
    return folder


def start(
    function: Callable[..., object],
    *arguments: Any,
    output: Path,
    errors: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> ForkServerProcess:
    """Starts a function of a module in a process of its own; stdout goes to `output`, stderr to `errors` or there too.

    The caller waits for it (`join`, `exitcode`) or kills it.
    """
    context = multiprocessing.get_context("forkserver")
    start_server()
    for path in {output, errors or output}:
        path.write_bytes(b"")
    files = [str(path.absolute()) for path in (output, errors or output)]
    environment = {**(os.environ if env is None else env), "EDGEGAN_WARM": converters()}
    place = (str(cwd or Path.cwd()), environment, *files)
    process = context.Process(target=run_in_place, args=(place, function, arguments))
    process.start()
    return process


def start_command(arguments: list[object], log: Path) -> ForkServerProcess:
    """Starts `edgegan ARGUMENTS`, printing into `log`; the caller waits for it or kills it."""
    return start(call_main, "edgegan.cli", "edgegan", [*map(str, arguments)], output=log)


def finish_command(arguments: list[object], log: Path) -> tuple[int | None, str]:
    """Runs a command to its end; returns its exit code and what it printed."""
    process = start_command(arguments, log)
    process.join()
    return process.exitcode, log.read_text(encoding="utf-8", errors="replace")


def stop_server() -> None:
    """Ends both servers, if they were started."""
    if converters.cache_info().currsize:
        shutil.rmtree(converters(), ignore_errors=True)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
