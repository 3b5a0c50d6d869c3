"""The lines of a worker, as they come: of bounded length, waited for no longer than asked."""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import IO

from edgegan.runtime.answers import MOST_LINE_BYTES

CHUNK_BYTES = 1 << 16
WAITING = 4  # lines that nobody asked for, before the worker has to wait
POLL_S = 0.2


class NoLine(Exception):
    """No line came in time, or one without end."""


class Lines(threading.Thread):
    """Reads lines from a pipe into a short queue; b"" stands for its end, None for a line that is too long."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.stream, self.closed = stream, False
        self.found: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self.start()

    def run(self) -> None:
        rest = bytearray()
        while True:
            try:
                block = os.read(self.stream.fileno(), CHUNK_BYTES)
            except (OSError, ValueError):  # closed by its owner
                block = b""
            rest += block
            *lines, rest = rest.split(b"\n") if b"\n" in block else [rest]
            for line in filter(bytes.strip, map(bytes, lines)):
                self.put(line)
            if len(rest) > MOST_LINE_BYTES:
                self.put(None)
                return
            if not block:
                self.put(b"")
                return
            if self.closed:
                return

    def put(self, line: bytes | None) -> None:
        """Waits until there is room, or until nobody listens any more."""
        while not self.closed:
            try:
                self.found.put(line, timeout=POLL_S)
                return
            except queue.Full:
                continue

    def next(self, limit_s: float) -> bytes:
        """The next line, b"" at the end; raises NoLine."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                line = self.found.get(
                    timeout=max(0.0, min(POLL_S * 5, deadline - time.monotonic()))
                )
            except queue.Empty:
                if not self.is_alive() and self.found.empty():
                    return b""
                if time.monotonic() >= deadline:
                    raise NoLine(f"gave no answer in {limit_s:g} s") from None
                continue
            if line is None:
                raise NoLine(
                    f"gave a line of more than {MOST_LINE_BYTES / 1e6:,.0f} MB as its answer"
                )
            return line

    def close(self) -> None:
        """Nobody listens any more."""
        self.closed = True
        self.join(1.0)
        if not self.is_alive():  # else another process still holds the pipe open
            self.stream.close()
