"""Artefacts run in worker processes: one artefact, one runtime, one process, so that runtimes never meet."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np

from edgegan.artefact import Loading, loading
from edgegan.deployment.runtimes import RUNTIMES
from edgegan.errors import (
    ConfigError,
    DeviceError,
    EdgeGANError,
    InputError,
    MissingDependency,
    nearest,
)

WORKER_FILE = Path(__file__).with_name("worker.py")


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


class Session:
    """An artefact loaded in a worker process, here or elsewhere. Use as a context manager."""

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
        if not model.exists():
            raise InputError(f"artefact {model} does not exist; make it with: edgegan export")
        self.model, self.threads = model, threads
        self.place: Place = place or Here()
        how = how or loading(model)
        candidates = [runtime] if runtime else self.place.runtimes(how.runtimes)
        self.path = self.push(how.entry)
        for position, name in enumerate(candidates):
            self.start(name)
            try:
                about = self.ask(
                    {
                        "op": "load",
                        "model": self.path,
                        "runtime": name,
                        "threads": threads,
                        "cpus": list(cpus) if cpus else None,
                        "signature": signature,
                    }
                )
                break
            except BaseException as error:
                self.close()
                # An installed runtime may be broken (tflite-runtime with numpy 2 is): only loading tells.
                if not isinstance(error, EdgeGANError) or position == len(candidates) - 1:
                    raise
        self.load_ms: float = about["load_ms"]
        self.version: str = about["version"]
        self.inputs: list[dict[str, Any]] = about["inputs"]
        self.outputs: list[dict[str, Any]] = about["outputs"]
        self.outside_xnnpack: list[str] | None = about["outside_xnnpack"]

    def push(self, entry: Path) -> str:
        """The artefact's path where it runs. Only one file is copied elsewhere: a folder runs where it is."""
        if self.model.is_dir() and not isinstance(self.place, Here):
            raise DeviceError(
                f"{self.model} is a folder, which runs on this machine only: leave --device out"
            )
        return self.place.push(entry)

    def start(self, runtime: str) -> None:
        """Starts the worker process."""
        self.runtime = runtime
        self.folder = tempfile.TemporaryDirectory(prefix="edgegan-")
        self.log: IO[bytes] = (Path(self.folder.name) / "log").open("w+b")
        self.process = subprocess.Popen(
            self.place.worker_command(runtime),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends one request and waits; raises DeviceError with the runtime's own words when it fails or dies."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            words = self.log.read().decode(errors="replace").strip().splitlines()
            raise DeviceError(
                f"{self.runtime} died while running {self.model.name}{self.where()}: "
                f"{' '.join(words[-3:]) or f'no message, status {code}'}"
            )
        answer = json.loads(line)
        if "error" in answer:
            if answer["error"].startswith(("ModuleNotFoundError", "ImportError")):
                raise MissingDependency(
                    f"runtime {self.runtime} does not load ({answer['error']}); "
                    f"pip install 'edgegan[{RUNTIMES[self.runtime].extra}]'"
                )
            raise DeviceError(
                f"{self.runtime} cannot run {self.model}{self.where()}: {answer['error']}; "
                "export it again with --overwrite"
            )
        return answer

    def where(self) -> str:
        """ " on NAME" for a device that has a name."""
        name = getattr(self.place, "name", None)
        return f" on {name}" if name else ""

    def run(self, items: np.ndarray) -> np.ndarray:
        """Runs each of (N, ...) items alone, in the artefact's own layout; returns (N, ...)."""
        folder = Path(self.folder.name)
        np.save(folder / "in.npy", items)
        remote = self.place.new_path(".npy")
        self.ask({"op": "run", "input": self.place.push(folder / "in.npy"), "output": remote})
        self.place.pull(remote, folder / "out.npy")
        return np.asarray(np.load(folder / "out.npy"))

    def time(self, runs: int, item: np.ndarray | None = None) -> dict[str, Any]:
        """Times `runs` inferences of one item (1, ...), given with the first call."""
        request: dict[str, Any] = {"op": "time", "runs": runs}
        if item is not None:
            path = Path(self.folder.name) / "time.npy"
            np.save(path, item)
            request["input"] = self.place.push(path)
        return self.ask(request)

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
        """Ends the worker."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
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
