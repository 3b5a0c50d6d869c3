"""Why a worker gave no result, as an error of ours: what failed, on which file and device, what to do next."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from edgegan.deployment.runtimes import RUNTIMES
from edgegan.errors import DeviceError, EdgeGANError, InputError, MissingDependency
from edgegan.runtime import limits
from edgegan.runtime.answers import Failed
from edgegan.streams import printable

MOST_WORDS = 2000
NO_MEMORY = re.compile(
    r"bad_alloc|MemoryError|[Nn]ot enough memory|[Cc]annot allocate|can't allocate|Failed to allocate|out of memory"
)
FORBIDDEN = re.compile(r"^PermissionError|Operation not permitted")


class RuntimeFailed(DeviceError):
    """A runtime that did not take an artefact or an input; `lines` are its own words."""

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__(message)
        self.lines = lines or ["no message"]


@dataclass(frozen=True)
class Subject:
    """What a worker was busy with. `where` is " on NAME" for a device, or nothing; `most_bytes` is memory."""

    runtime: str
    model: Path
    where: str
    here: bool
    foreign: bool
    most_bytes: int

    def death(self, code: int, words: str) -> EdgeGANError:
        """The worker is dead: its exit status and last words."""
        if self.here and code == -getattr(signal, "SIGSYS", 0):
            return self.forbidden()
        if NO_MEMORY.search(words):
            return self.too_large()
        said = words or f"no message, status {code}"
        return DeviceError(
            f"{self.runtime} died while running {self.model.name}{self.where}: {said}"
        )

    def failure(self, answer: Failed) -> EdgeGANError:
        """The runtime answered an error."""
        lines = [printable(line) for line in answer.error[:MOST_WORDS].strip().splitlines()]
        words = " ".join(lines)
        if words.startswith(("ModuleNotFoundError", "ImportError")):
            return MissingDependency(
                f"runtime {self.runtime} does not load ({words}); "
                f"pip install 'edgegan[{RUNTIMES[self.runtime].extra}]'"
            )
        if self.here and FORBIDDEN.search(words):
            return self.forbidden()
        if NO_MEMORY.search(words):
            return self.too_large()
        return RuntimeFailed(
            f"{self.runtime} cannot run {self.model}{self.where}: {words}; export it again with --overwrite",
            lines,
        )

    def silence(self, why: str) -> DeviceError:
        """No answer in time."""
        return DeviceError(f"{self.runtime} {why} about {self.model}{self.where}; {limits.LONGER}")

    def nonsense(self, why: str) -> DeviceError:
        """An answer that no worker gives."""
        return DeviceError(
            f"{self.runtime}{self.where} answered what no worker does about {self.model.name}: "
            f"{printable(why)[:MOST_WORDS]}; is something else printing there?"
        )

    def no_output(self, why: Exception) -> EdgeGANError:
        """An output that is missing, or not what it should be: the fault of a network that nobody vouches for."""
        if self.here and self.foreign:
            return InputError(
                f"{self.model} gives nothing that can be used: {printable(str(why))}; it must give one tensor of "
                "numbers with a row for each picture"
            )
        return DeviceError(
            f"{self.runtime}{self.where} gave no output that can be used for {self.model}: {printable(str(why))}; "
            "run it again"
        )

    def forbidden(self) -> InputError:
        """A network that does not only compute."""
        return InputError(
            f"{self.model} tried to write a file, start a program or reach a network, which a network may not; "
            "it was ended and nothing was written"
        )

    def too_large(self) -> DeviceError:
        """A network that asks for more memory than it may have."""
        if not self.here:
            return DeviceError(
                f"{self.runtime}{self.where} has too little memory for {self.model}; export a smaller --size"
            )
        return DeviceError(
            f"{self.runtime} needs more memory for {self.model}{self.where} than it may take "
            f"({self.most_bytes / 1e6:,.0f} MB here); allow more with {limits.MEMORY}=MEGABYTES"
        )
