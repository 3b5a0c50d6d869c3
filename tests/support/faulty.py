"""A command in which the n-th call of one kind fails, or which dies there: run in a process of its own."""

from __future__ import annotations

import atexit
import builtins
import errno
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What fails: the functions of a module, and what they raise.
OPERATIONS: dict[str, list[tuple[str, str]]] = {
    "write": [("os", "write"), ("os", "posix_fallocate"), ("os", "link"), ("builtins", "open")],
    "sync": [("os", "fsync")],
    "rename": [("os", "replace"), ("os", "rename")],
    "mkdir": [("os", "mkdir")],
    "remove": [("os", "unlink"), ("os", "rmdir")],
    "allocation": [
        *(("numpy", name) for name in ("empty", "zeros", "stack", "ascontiguousarray")),
        *(("torch", name) for name in ("empty", "zeros", "stack", "cat")),
    ],
}
MODULES = {"os": os, "builtins": builtins}
KILLED = 137


def failure(operation: str) -> BaseException:
    """What a failing call raises."""
    if operation == "allocation":
        return MemoryError()
    number = errno.EIO if operation in ("sync", "rename", "remove") else errno.ENOSPC
    return OSError(number, os.strerror(number))


def break_call(operation: str, number: int, *, kill: bool) -> None:
    """From now on the `number`-th call of an operation (from 1) fails, once."""
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if done == number and kill:
            os._exit(KILLED)
        if done == number:
            raise failure(operation)

    watch(operation, one_more)


def count_calls(count_file: str) -> None:
    """From now on calls of every operation are counted; the file has the counts when the process ends."""
    counts = dict.fromkeys(OPERATIONS, 0)

    def more(operation: str) -> Callable[[], None]:
        def one_more() -> None:
            counts[operation] += 1

        return one_more

    for operation in OPERATIONS:
        watch(operation, more(operation))
    atexit.register(lambda: Path(count_file).write_text(json.dumps(counts)))


def watch(operation: str, before: Callable[[], None]) -> None:
    """Calls `before` ahead of every call of an operation that this process makes."""
    own = os.getpid()

    def watched(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            mode = arguments[1] if name == "open" and len(arguments) > 1 else named.get("mode", "r")
            reads = name == "open" and not set(str(mode)) & set("wax+")
            says = name == "write" and arguments[0] in (1, 2)
            if os.getpid() == own and not reads and not says:
                before()
            return function(*arguments, **named)

        return call

    for module_name, name in OPERATIONS[operation]:
        module = MODULES.get(module_name) or sys.modules[module_name]
        setattr(module, name, watched(getattr(module, name), name))
    if operation == "write":
        io.open = builtins.open


def call_broken(operation: str, number: int, kill: bool, arguments: list[str]) -> None:
    """`edgegan ARGUMENTS` with a broken call."""
    from edgegan.cli import main

    sys.argv = ["edgegan", *arguments]
    break_call(operation, number, kill=kill)
    main()


def call_counted(count_file: str, arguments: list[str]) -> None:
    """`edgegan ARGUMENTS` with its calls counted."""
    from edgegan.cli import main

    sys.argv = ["edgegan", *arguments]
    count_calls(count_file)
    main()
