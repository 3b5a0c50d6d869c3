"""Artefacts run in worker processes: one artefact, one runtime, one process, so that runtimes never meet."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from edgegan.artefact import Loading, check_artefact, is_artefact, loading, read_model
from edgegan.deployment.runtimes import RUNTIMES, TORCHSCRIPT
from edgegan.errors import (
    ConfigError,
    DeviceError,
    EdgeGANError,
    InputError,
    MissingDependency,
    nearest,
)
from edgegan.processes import Drain, end, start
from edgegan.runtime import limits
from edgegan.runtime.answers import Failed, read_answer, read_array
from edgegan.runtime.confine import NOT_CONFINED
from edgegan.runtime.failures import Subject
from edgegan.runtime.lines import Lines, NoLine

WORKER_FILE = Path(__file__).with_name("worker.py")
ENDING_S = 5.0
UNHURRIED = 3  # times as long as the runs before may a block of runs take


def installed_runtimes(names: Sequence[str]) -> list[str]:
    """Those of these runtimes that are installed here, in this order; raises MissingDependency when none is."""
    import importlib.util

    unknown = [name for name in names if name not in RUNTIMES]
    if unknown:
        raise ConfigError(
            f"no runtime '{unknown[0]}'{nearest(unknown[0], RUNTIMES)}; runtimes: {', '.join(RUNTIMES)}"
        )
    found = [
        name
        for name in names
        if own_python(name) or importlib.util.find_spec(RUNTIMES[name].module)
    ]
    if not found:
        raise MissingDependency(
            f"none of {', '.join(names) or 'the runtimes of this artefact'} is installed; install one with: "
            f"pip install 'edgegan[{RUNTIMES[names[0]].extra if names else 'bench'}]'"
        )
    return found


def own_python(runtime: str) -> str | None:
    """The interpreter of a runtime that lives in a virtual environment of its own (tflite-runtime wants numpy below 2):
    $EDGEGAN_PYTHON_TFLITE_RUNTIME, and so on for every runtime."""
    return os.environ.get(f"EDGEGAN_PYTHON_{runtime.upper().replace('-', '_')}") or None


class Place(Protocol):
    """Where worker processes run: this machine, an emulated core, a board."""

    def runtimes(self, names: Sequence[str]) -> list[str]:
        """Those of these runtimes that are installed there, in this order; raises MissingDependency when none is."""
        ...

    def worker_command(self, runtime: str) -> list[str]:
        """The local command whose stdin and stdout are those of a worker there for this runtime."""
        ...

    def push(self, local: Path) -> str:
        """Copies a file there; returns its path there."""
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Copies a file from there."""
        ...

    def new_path(self, suffix: str) -> str:
        """A path there that no file has yet."""
        ...


class Here:
    """This machine: files are where they are."""

    def runtimes(self, names: Sequence[str]) -> list[str]:
        return installed_runtimes(names)

    def worker_command(self, runtime: str) -> list[str]:
        return [own_python(runtime) or sys.executable, "-u", str(WORKER_FILE)]

    def push(self, local: Path) -> str:
        return str(local.absolute())

    def pull(self, remote: str, local: Path) -> None:
        if Path(remote).absolute() != local.absolute():
            Path(remote).replace(local)

    def new_path(self, suffix: str) -> str:
        descriptor, path = tempfile.mkstemp(prefix="edgegan-", suffix=suffix)
        os.close(descriptor)
        return path


class Unconfined(Exception):
    """This system cannot confine a worker: nothing was run."""


class Session:
    """An artefact loaded in a worker process, here or elsewhere. Use as a context manager.

    A worker here is confined: it may write in a folder of its own only, reaches no network, and ends with this process.
    Where the system cannot confine, only artefacts of edgegan's own run, or any when --trust was given.
    Every request has a deadline; after it the worker and all it started are gone; the error says how to wait longer.
    """

    def __init__(
        self,
        model: Path,
        *,
        runtime: str | None = None,
        threads: int = 1,
        place: Place | None = None,
        cpus: Sequence[int] | None = None,
        signature: str | None = None,
        how: Loading | None = None,
    ) -> None:
        if not (model.is_file() or model.is_dir()):  # a device would be read without end
            raise InputError(f"artefact {model} does not exist; make it with: edgegan export")
        self.model, self.threads = model, threads
        self.place: Place = place or Here()
        self.how = how or loading_in(model, runtime)
        self.slowest_ms = 0.0
        candidates = [runtime] if runtime else self.place.runtimes(self.how.runtimes)
        self.path = self.push(self.how.entry)
        request = {"op": "load", "model": self.path, "threads": threads, "signature": signature}
        request["cpus"] = list(cpus) if cpus else None
        for position, name in enumerate(candidates):
            try:
                about = self.load(name, request)
                break
            except EdgeGANError:
                # An installed runtime may be broken (tflite-runtime with numpy 2 is): only loading tells.
                if position == len(candidates) - 1:
                    raise
        self.load_ms: float = about["load_ms"]
        self.version: str = about["version"]
        self.inputs: list[dict[str, Any]] = about["inputs"]
        self.outputs: list[dict[str, Any]] = about["outputs"]
        self.outside_xnnpack: list[str] | None = about["outside_xnnpack"]

    @property
    def here(self) -> bool:
        """Whether the worker runs on this machine as it is."""
        return isinstance(self.place, Here)

    def push(self, entry: Path) -> str:
        """The artefact's path where it runs. Only one file is copied elsewhere: a folder runs where it is."""
        if self.model.is_dir() and not self.here:
            raise DeviceError(
                f"{self.model} is a folder, which runs on this machine only: leave --device out"
            )
        return self.place.push(entry)

    def load(self, runtime: str, request: dict[str, Any]) -> dict[str, Any]:
        """Starts a worker and lets it load the artefact; confined where it is here, else only what may run so."""
        confine = self.here and limits.can_confine()
        if self.here and not confine:
            self.check_trust()
        self.start(runtime, confine=confine)
        more: dict[str, Any] = {"runtime": runtime}
        if confine and runtime == "torchscript":
            more["guard"] = str(self.made)
        try:
            return self.ask({**request, **more}, self.limit_s(limits.LOAD_S))
        except Unconfined:
            self.close()
            limits.confines = False
            return self.load(runtime, request)
        except BaseException:
            self.close()
            raise

    def check_trust(self) -> None:
        """Raises DeviceError or IntegrityError for what may not run unconfined."""
        if self.how.foreign:
            limits.refuse_unconfined(self.model)
        elif is_artefact(self.model) and not limits.trusted:
            check_artefact(self.model, read_model(self.model))

    def start(self, runtime: str, *, confine: bool) -> None:
        """Starts the worker process. What it writes is in a folder of its own, where we only read."""
        self.runtime, self.asking = runtime, False
        self.folder = tempfile.TemporaryDirectory(prefix="edgegan-", ignore_cleanup_errors=True)
        own = Path(self.folder.name) / "own"
        own.mkdir()
        self.made = own / "out.npy"
        command, environment = self.place.worker_command(runtime), None
        if confine:
            command = limits.confined(command, own, self.memory_bytes())
        elif self.here:
            command = limits.ending_with_us(command)
        if self.here:
            quiet = {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(own)}
            environment = {**os.environ, **quiet}
        pipe = subprocess.PIPE
        self.process = start(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.lines, self.log = Lines(self.process.stdout), Drain(self.process.stderr)

    def ask(self, request: dict[str, Any], limit_s: float | None = None) -> dict[str, Any]:
        """Sends one request and waits, `limit_s` or the usual time. Raises DeviceError with the runtime's own words
        when it fails, dies, says nothing or nonsense; InputError when it tries what a network may not."""
        assert self.process.stdin is not None
        limit_s = self.limit_s(limits.BLOCK_S) if limit_s is None else limit_s
        self.asking = True
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(request).encode() + b"\n")
                self.process.stdin.flush()
            line = self.lines.next(limit_s)
        except NoLine as error:
            raise self.subject().silence(str(error)) from error
        if not line:
            raise self.death()
        try:
            answer = read_answer(line, request)
        except ValueError as error:
            raise self.subject().nonsense(str(error)) from error
        self.asking = False
        if isinstance(answer, Failed):
            raise self.subject().failure(answer)
        return answer

    def limit_s(self, usual_s: float) -> float:
        """The limit of a wait: a person's, a stranger's, an emulator's, or the usual one."""
        if self.how.foreign:
            return limits.deadline_s(limits.JUDGE_S)
        emulated = getattr(self.place, "counts", None) is not None
        return limits.deadline_s(limits.EMULATED_S if emulated else usual_s)

    def death(self) -> Exception:
        """Why there is no answer: the worker is dead."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING_S)
        end(self.process)
        code, words = self.process.returncode, self.log.words()
        if code == NOT_CONFINED and self.here and limits.describe() is None:
            return Unconfined(words)
        return self.subject().death(code, words)

    def subject(self) -> Subject:
        """What the worker is busy with, for messages."""
        where, foreign = self.where(), self.how.foreign
        return Subject(self.runtime, self.model, where, self.here, foreign, self.memory_bytes())

    def memory_bytes(self) -> int:
        """The memory that a worker here may take."""
        files = [self.model] if self.model.is_file() else self.model.rglob("*")
        size = sum(each.stat().st_size for each in files if each.is_file())
        return limits.memory_bytes(size, self.how.foreign)

    def where(self) -> str:
        """ " on NAME" for a device that has a name."""
        name = getattr(self.place, "name", None)
        return f" on {name}" if name else ""

    def run(self, items: np.ndarray) -> np.ndarray:
        """Runs each of (N, ...) items alone, TorchScript all at once, in the artefact's layout; returns (N, ...)."""
        folder = Path(self.folder.name)
        np.save(folder / "in.npy", items)
        remote = str(self.made) if self.here else self.place.new_path(".npy")
        given = {"input": self.place.push(folder / "in.npy"), "output": remote}
        together = self.runtime == "torchscript"
        self.ask(
            {"op": "run", **given, "together": together}, self.limit_s(limits.ITEM_S * len(items))
        )
        made = self.made
        try:
            if not self.here:
                made = folder / "out.npy"
                made.unlink(missing_ok=True)
                self.place.pull(remote, made)
            return read_array(made, len(items), items.nbytes)
        except (ValueError, OSError) as error:
            raise self.subject().no_output(error) from error

    def time(self, runs: int, item: np.ndarray | None = None) -> dict[str, Any]:
        """Times `runs` inferences of one item (1, ...), given with the first call."""
        request: dict[str, Any] = {"op": "time", "runs": runs}
        if item is not None:
            path = Path(self.folder.name) / "time.npy"
            np.save(path, item)
            request["input"] = self.place.push(path)
        expected_s = UNHURRIED * runs * self.slowest_ms / 1e3
        answer = self.ask(request, max(self.limit_s(limits.ITEM_S), expected_s))
        self.slowest_ms = max(self.slowest_ms, max(answer["samples_ms"]))
        return answer

    def count(self, runs: int) -> None:
        """Runs the last item `runs` times, each between the marks that an emulator counts between."""
        self.ask({"op": "count", "runs": runs})

    def profile(self, runs: int) -> dict[str, Any]:
        """Mean milliseconds by operator: {"rows": [[name, ms]], "note"}; no rows where the runtime tells none."""
        return self.ask(
            {
                "op": "profile",
                "model": self.path,
                "runtime": self.runtime,
                "threads": self.threads,
                "runs": runs,
            }
        )

    def close(self) -> None:
        """Ends the worker, at once where it is here or owes an answer; elsewhere its closed input does."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if not self.here and not self.asking:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=ENDING_S)
        end(self.process)
        self.lines.close()
        self.log.close()
        self.folder.cleanup()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def loading_in(model: Path, runtime: str | None) -> Loading:
    """How a file is loaded that nobody vouches for."""
    if runtime == "torchscript" or model.suffix in TORCHSCRIPT:
        return Loading("torchscript", model, ("torchscript",), foreign=True)
    return loading(model)


def our_own(model: Path) -> Loading:
    """How a file is loaded that we have just written ourselves."""
    return replace(loading(model), foreign=False)
