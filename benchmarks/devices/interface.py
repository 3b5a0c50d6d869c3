"""What every device can do, and how commands of the system's own tools are run: always a list, never a shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.devices.state import DeviceState
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import AnyRecord
from edgegan.errors import ConfigError, DeviceError, MissingDependency
from edgegan.processes import Finished, Overrun, run_bounded
from edgegan.runtime.limits import command_limit_s

COMMAND_TIMEOUT_S = 60.0
COPY_TIMEOUT_S = 600.0
WORKER_DEADLINE_S = 3600.0
MOST_PULLED_BYTES = 1 << 30


class Device(Protocol):
    """A place where artefacts are measured. `name` stands in records and messages.

    `counts` is the file here that its instruction counts go to; None for a device that keeps time.
    """

    name: str
    counts: Path | None

    def probe(self) -> DeviceState:
        """What it is and how it fares now; raises DeviceError when it cannot be reached."""
        ...

    def measure(
        self, artefacts: Sequence[tuple[Path, ModelManifest]], threads: int, method: Method
    ) -> Sequence[AnyRecord]:
        """Measures or counts the artefacts by the way that this device allows; one record for each that it can run."""
        ...

    def worker(self) -> WorkerDevice | None:
        """Itself when it can run the worker; else None, and then nothing but `measure` is asked of it."""
        ...

    def close(self) -> None:
        """Removes what was pushed and lets the device go."""
        ...


class ShellDevice(Device, Protocol):
    """A device that takes files and runs commands."""

    def push(self, local: Path) -> str:
        """Copies a file to the device under a name of our own making; returns its path there."""
        ...

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        """Runs a command on the device, without its result being checked."""
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Copies a file from the device."""
        ...


class WorkerDevice(ShellDevice, Protocol):
    """A device that can run the worker: one with Python, numpy and a runtime."""

    def runtimes(self, names: Sequence[str]) -> list[str]:
        """Those of these runtimes that are installed there, in this order; raises MissingDependency when none is."""
        ...

    def worker_command(self, runtime: str) -> list[str]:
        """The local command whose stdin and stdout are those of a worker there."""
        ...

    def new_path(self, suffix: str) -> str:
        """A path there that no file has yet."""
        ...


@dataclass(frozen=True)
class Asked:
    """A device as the command line names it. `name` is for records; None where the device should name itself."""

    address: str
    name: str | None = None
    emulate: str | None = None
    bootstrap: bool = False


@dataclass(frozen=True)
class DeviceKind:
    """What --device may say. `form` shows how an address is written; a kind without one is called by its word alone.

    `check` raises ConfigError for an address that is not well formed, without reaching for the device.
    """

    open: Callable[[Asked], Device]
    form: str = ""
    check: Callable[[str], object] = str


def call(
    command: Sequence[str],
    timeout_s: float = COMMAND_TIMEOUT_S,
    *,
    environment: Mapping[str, str] | None = None,
    needs: str = "",
    file_bytes: int | None = None,
) -> Finished:
    """Runs a local command to its end; a timeout or output without end raises DeviceError, an absent program
    MissingDependency. No file that it writes may pass `file_bytes`."""
    limit_s = command_limit_s(timeout_s)
    try:
        return run_bounded(command, limit_s, environment=environment, file_bytes=file_bytes)
    except Overrun as error:
        raise DeviceError(
            f"{error}; is the device awake and reachable? If it is only slow, give it longer with --deadline SECONDS"
        ) from error
    except FileNotFoundError as error:
        raise MissingDependency(
            f"the program {command[0]} is not installed; {needs or 'install it and try again'}"
        ) from error
    except ValueError as error:  # a NUL byte cannot be part of an argument
        raise ConfigError(f"{command[-1]!r} cannot be an argument of a program: {error}") from error


def check_plain(what: str, text: str) -> str:
    """The text of an address; raises ConfigError for control characters, blanks and a leading dash."""
    if not text or text.startswith("-") or any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise ConfigError(
            f"{what} {text!r} cannot be one: it is empty, starts with a dash, or holds blanks or control characters"
        )
    return text
