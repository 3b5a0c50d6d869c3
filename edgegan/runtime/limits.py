"""Limits of what is not ours, how a person changes them, and the words of the command that confines it."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from edgegan.errors import ConfigError, DeviceError
from edgegan.processes import Overrun, run_bounded

CONFINE_FILE = Path(__file__).with_name("confine.py")
DEADLINE, MEMORY = "EDGEGAN_DEADLINE", "EDGEGAN_MEMORY"
LOAD_S = 60.0  # a runtime loads an artefact
ITEM_S = 60.0  # a runtime runs one item, or the first of a block
BLOCK_S = 600.0  # a runtime profiles an artefact, or goes through a batch of them
EMULATED_S = 3600.0  # any of these on an emulated core
JUDGE_S = 50.0  # a network that is not ours loads, or answers a batch
CONVERT_S = 4 * 3600.0  # a converter
SIMPLIFY_S = 300.0  # onnxsim
DESCRIBE_S = 20.0
LIFETIME_S = 86_400.0  # processor seconds of a worker
OWN_MEMORY_BYTES, FOREIGN_MEMORY_BYTES = 4 << 30, 2 << 30
MEMORY_PER_BYTE = 50  # of the artefact, beside these
LONGER = f"give it longer with --deadline SECONDS or {DEADLINE}"
UNCONFINED = "not confined here: give --trust to run it"
trusted = False
"""Set by --trust: networks that are not ours may run where the system cannot confine them."""

confines: bool | None = None if sys.platform == "linux" else False
"""Whether this system confines workers; None before one was tried."""


def can_confine() -> bool:
    """Whether a worker is to be started confined: until one could not be."""
    return confines is not False


def trust() -> None:
    """Lets networks run that are not ours where the system cannot confine them."""
    global trusted
    trusted = True


def set_deadline(seconds: float | None) -> None:
    """The limit of every wait from now on, also in processes started by this one; None leaves each its own."""
    if seconds is not None:
        os.environ[DEADLINE] = f"{seconds:g}"


def deadline_s(default: float) -> float:
    """The seconds that a wait may take: those a person gave, or its own; raises ConfigError for no number."""
    return read_number(DEADLINE, "seconds") or default


def command_limit_s(own: float) -> float:
    """The same of a device's short command, whose own limit a person can only raise."""
    return max(own, read_number(DEADLINE, "seconds") or 0.0)


def memory_bytes(artefact_bytes: int, foreign: bool) -> int:
    """The memory that a worker may take for an artefact."""
    given = read_number(MEMORY, "megabytes")
    if given is not None:
        return int(given * 1e6)
    return (
        FOREIGN_MEMORY_BYTES if foreign else OWN_MEMORY_BYTES
    ) + MEMORY_PER_BYTE * artefact_bytes


def read_number(name: str, unit: str) -> float | None:
    """A positive number in the environment, or None; raises ConfigError."""
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        raise ConfigError(f"{name}={text[:40]!r} is not a number of {unit}; write one such as 300")
    return value


def refuse_unconfined(path: Path) -> None:
    """Raises DeviceError for a network that is not ours, unless --trust was given."""
    if not trusted:
        raise DeviceError(f"{path} is not edgegan's own and {UNCONFINED}")


def ending_with_us(command: list[str]) -> list[str]:
    """The command, so that it is killed when this process ends, however that happens (on Linux)."""
    return [*launcher(), "--", *command] if sys.platform == "linux" else command


def confined(command: list[str], folder: Path, most_memory_bytes: int) -> list[str]:
    """The command, confined to `folder` and its memory, so that it ends with this process."""
    limits = ["--memory", str(most_memory_bytes), "--seconds", f"{LIFETIME_S:g}"]
    return [*launcher(), "--write", str(folder), *limits, "--", *command]


def launcher() -> list[str]:
    """What confines a command, without its own options."""
    return [sys.executable, "-I", "-S", str(CONFINE_FILE), "--parent", str(os.getpid())]


def describe() -> str | None:
    """How this system confines networks, or None where it cannot."""
    if sys.platform != "linux":
        return None
    command = [sys.executable, "-I", "-S", str(CONFINE_FILE), "--describe"]
    try:
        done = run_bounded(command, DESCRIBE_S)
    except (OSError, Overrun):
        return None
    return done.output.strip() if done.code == 0 else None
