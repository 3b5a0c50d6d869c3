"""A command in which the n-th call of one kind fails, or which dies there: run in a process of its own."""

from __future__ import annotations

import builtins
import errno
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


def break_call(operation: str, number: int, count_file: str, *, kill: bool) -> None:
    """From now on the `number`-th call (from 1) fails, once; 0: none. How many there were is kept in a file."""
    done = 0
    own = os.getpid()

    def broken(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            mode = arguments[1] if name == "open" and len(arguments) > 1 else named.get("mode", "r")
            if os.getpid() != own or (name == "open" and not set(str(mode)) & set("wax+")):
                return function(*arguments, **named)
            if name == "write" and arguments[0] in (1, 2):
                return function(*arguments, **named)
            done += 1
            descriptor = os.open(count_file, os.O_WRONLY | os.O_CREAT, 0o644)
            real_write(descriptor, b"%9d" % done)
            os.close(descriptor)
            if done == number and kill:
                os._exit(KILLED)
            if done == number:
                raise failure(operation)
            return function(*arguments, **named)

        return call

    real_write = os.write
    for module_name, name in OPERATIONS[operation]:
        module = MODULES.get(module_name) or sys.modules[module_name]
        setattr(module, name, broken(getattr(module, name), name))
    if operation == "write":
        import io

        io.open = builtins.open


def call_broken(
    operation: str, number: int, count_file: str, kill: bool, arguments: list[str]
) -> None:
    """`edgegan ARGUMENTS` with a broken call."""
    from edgegan.cli import main

    sys.argv = ["edgegan", *arguments]
    break_call(operation, number, count_file, kill=kill)
    main()


def counted(count_file: Path) -> int:
    """How many calls there were."""
    return int(count_file.read_text() or "0") if count_file.is_file() else 0
