"""stdout and stderr as they were given: closed, without a reader, of few letters; and text that a terminal only shows.

Of what is not ours (names of files, packages and devices, words of runtimes and remotes) nothing reaches a stream but
through `printable`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET)  # the reader, or the terminal
FULL = (errno.ENOSPC, errno.EDQUOT)  # where progress goes; no work ends for that
# Controls, marks that turn the direction of writing, line and paragraph separators, halves of letters. An escaped byte
# of a name that is no UTF-8 is one of the latter.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

results: TextIO | None = None  # stdout, once everything but `console.emit` is kept off it


def printable(text: object, *, keep: str = "") -> str:
    """Text in which every character that would do something, but those in `keep`, is written out: `\\x1b`, `\\n`."""
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else escaped(found[0]), str(text))


def escaped(letter: str) -> str:
    """One character as Python would write it; an undecodable byte of a file name as that byte."""
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    return SHORT.get(letter) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def is_text(name: object) -> bool:
    """Whether a name is UTF-8; any bytes may be one."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


class Patient(io.FileIO):
    """A descriptor that may lose its reader: what is written then goes nowhere, and the work goes on."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            number = self.fileno()
            if error.errno not in GONE and not (number == 2 and error.errno in FULL):
                raise
            lead_nowhere(number)
            return memoryview(data).nbytes


def lead_nowhere(number: int) -> None:
    """Points a descriptor at the null device."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def prepare() -> None:
    """Makes the three standard streams usable. A closed descriptor is filled, else the next file that is opened would
    get its number, and what a child process prints would land in that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            lead_nowhere(number)
    sys.stdout = renewed(sys.stdout, 1)
    sys.stderr = renewed(sys.stderr, 2)


def renewed(stream: TextIO | None, number: int) -> TextIO:
    """A stream that writes any text in the encoding of `stream`; the same where somebody else put it there."""
    if stream is not None and not is_own(stream, number):
        return stream
    encoding = "utf-8" if stream is None else stream.encoding
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    return open_stream(number, encoding, at_once=number == 2 or os.isatty(number))


def open_stream(number: int, encoding: str, *, at_once: bool) -> TextIO:
    """Text that goes to a descriptor; letters that the encoding lacks are written out."""
    raw = io.BufferedWriter(Patient(number, "w", closefd=False))
    return io.TextIOWrapper(
        raw, encoding=encoding, errors="backslashreplace", line_buffering=at_once
    )


def is_own(stream: TextIO, number: int) -> bool:
    """Whether a stream is this process's descriptor `number`, not something that captures what is printed."""
    try:
        return stream.fileno() == number
    except (AttributeError, OSError, ValueError):
        return False


def keep_stdout_for_results() -> None:
    """From here on stdout takes results only: what a network, a library or a child process prints goes to stderr.

    It stays so until the process ends, since what C code printed may be written no earlier than that.
    """
    global results
    if results is not None or not is_own(sys.stdout, 1):
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    results = open_stream(kept, sys.stdout.encoding, at_once=os.isatty(kept))


def finish() -> None:
    """Writes what is left; what cannot be written any more is given up, so that the exit code stays what it is."""
    for stream in (results, sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            lead_nowhere(stream.fileno())
        except ValueError:
            continue  # closed by somebody
