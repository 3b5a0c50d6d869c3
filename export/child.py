"""Waiting for a converter's child process while its progress, written to its log, is shown."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from edgegan.console import say

SHOWN = re.compile(r"^  (calibrate|sensitivity|max-drop|int8) .*")
POLL_SECONDS = 0.5


def wait_showing(child: subprocess.Popen[bytes], log: Path) -> int:
    """The exit code of `child`; lines of progress in `log` are said as they come."""
    shown = 0
    while True:
        try:
            returncode: int | None = child.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            returncode = None
        lines = log.read_text(errors="replace").splitlines()
        complete = lines if returncode is not None else lines[:-1]
        for line in complete[shown:]:
            if SHOWN.match(line):
                say(line)
        shown = max(shown, len(complete))
        if returncode is not None:
            return returncode
