"""A hostile network judged as `evaluate` does it, and what it did meanwhile: files, processes, time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from edgegan.errors import EdgeGANError
from edgegan.metrics import networks
from edgegan.metrics.networks import open_network

DEADLINE_S = 8.0
NOTHING = re.compile(rb"(?!)")
ROOM_S = 60.0  # for starting a worker on a busy machine, beside two deadlines


@dataclass(frozen=True)
class Deeds:
    """`ending` is what became of it; the other three are to be empty or short."""

    ending: str
    written: list[str]
    processes: list[str]
    duration_s: float


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with its hash, every other name with its kind."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink()
        else "other"
        for path in sorted(folder.rglob("*"))
    }


def processes_of(mark: str) -> list[str]:
    """Processes, other than this one, that were started with this text in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                entry.name.isdigit()
                and int(entry.name) != os.getpid()
                and mark.encode() in (entry / "environ").read_bytes()
            ):
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return found


@contextlib.contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Everything temporary is made there meanwhile."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def judge(path: Path, watched: Path, *, read_first: bool = True) -> Deeds:
    """Two batches through a network; `watched` is the folder where nothing may change, the network's own among it.

    Without `read_first` its code is not searched for words before it is loaded: the confinement is alone.
    """
    scratch = watched / "scratch"
    scratch.mkdir(exist_ok=True)
    before, began = contents(watched), time.monotonic()
    os.environ["EDGEGAN_DEADLINE"] = str(DEADLINE_S)
    ending, words = "answered", networks.TOUCHES_FILES
    if not read_first:
        networks.TOUCHES_FILES = NOTHING
    try:
        with temporary_files_in(scratch), open_network(path) as network:
            for _ in range(2):
                network.call(torch.rand(2, 3, 8, 8))
    except EdgeGANError as error:
        ending = f"exit {error.exit_code}: {error}"
    finally:
        del os.environ["EDGEGAN_DEADLINE"]
        networks.TOUCHES_FILES = words
    duration_s = time.monotonic() - began
    after = contents(watched)
    written = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return Deeds(ending, written, processes_of(str(scratch)), duration_s)
