"""Programs that are not ours: started in a group of their own, waited for within limits, ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgegan.errors import EdgeGANError
from edgegan.streams import printable

MOST_OUTPUT_BYTES = 16 << 20
CHUNK_BYTES = 1 << 16
ENDING_S = 5.0
LAST_WORDS = 400


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    output: str
    errors: str

    def last_words(self) -> str:
        """The last lines it printed, errors first, for a message of ours."""
        return last_words(self.errors.strip() or self.output) or f"no message, status {self.code}"


class Overrun(EdgeGANError):
    """A program that took longer, or printed more, than it may; all it started was ended."""


class Drain(threading.Thread):
    """Reads a stream to its end; keeps its first `most` bytes and its last ones, so that memory does not grow."""

    def __init__(self, stream: IO[bytes], most: int = 0) -> None:
        super().__init__(daemon=True)
        self.stream, self.most = stream, most
        self.first, self.last, self.count = bytearray(), b"", 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed by its owner
            while block := os.read(self.stream.fileno(), CHUNK_BYTES):
                self.count += len(block)
                self.first += block[: self.most - len(self.first)]
                self.last = (self.last + block)[-CHUNK_BYTES:]

    def words(self) -> str:
        """The last lines, on one line."""
        self.join(1.0)
        return last_words(self.last.decode(errors="replace"))

    def close(self) -> None:
        """Nobody wants the rest."""
        self.join(1.0)
        if not self.is_alive():  # else another process still holds the pipe open
            self.stream.close()


def last_words(text: str) -> str:
    """The last three lines of a program's text on one line of bounded length, control characters escaped."""
    lines = text.strip().splitlines()
    return printable(" ".join(line.strip() for line in lines[-3:])[-LAST_WORDS:])


def start(command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
    """`subprocess.Popen` in a session of its own: `end` ends the group, and a terminal's Ctrl-C reaches us alone."""
    return subprocess.Popen(list(command), start_new_session=True, **options)  # type: ignore[call-overload,no-any-return]


def end(child: subprocess.Popen[bytes]) -> None:
    """Kills a child that was started by `start` and all of its group, if nobody has waited for it yet."""
    if child.returncode is not None:
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        child.kill()
    child.wait()


def run_bounded(
    command: Sequence[str],
    limit_s: float,
    *,
    most_bytes: int = MOST_OUTPUT_BYTES,
    file_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Finished:
    """Runs a command to its end. Raises Overrun after `limit_s` and for more output than `most_bytes`.

    `file_bytes` is the size that no file it writes may pass; such a write ends it.
    """
    child = start(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment} if environment else None,
        cwd=folder,
    )
    assert child.stdout is not None and child.stderr is not None
    if file_bytes is not None:
        limit_files(child.pid, file_bytes)
    said = [Drain(child.stdout, most_bytes), Drain(child.stderr, most_bytes)]
    name, deadline = Path(command[0]).name, time.monotonic() + limit_s
    try:
        while any(each.is_alive() for each in said):
            for each in said:
                each.join(0.05)
            if any(each.count > most_bytes for each in said):
                raise Overrun(f"{name} printed more than {most_bytes / 1e6:,.0f} MB")
            if time.monotonic() > deadline:
                raise Overrun(f"{name} did not answer in {limit_s:g} s")
        child.wait(max(ENDING_S, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise Overrun(f"{name} did not end in {limit_s:g} s") from error
    finally:
        if child.returncode is None:
            end(child)
        for each in said:
            each.close()
    output, errors = (bytes(each.first).decode(errors="replace") for each in said)
    return Finished(child.returncode, output, errors)


def limit_files(process: int, most_bytes: int) -> None:
    """No file that a process and its children write grows larger; only on Linux."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError):  # it ended already
            resource.prlimit(process, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
