"""A board over ssh: the system's ssh and scp, so ~/.ssh/config, agents, jump hosts and known_hosts count."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.devices.interface import (
    COMMAND_TIMEOUT_S,
    COPY_TIMEOUT_S,
    MOST_PULLED_BYTES,
    WORKER_DEADLINE_S,
    Asked,
    DeviceKind,
    call,
    check_plain,
)
from edgegan.benchmarks.devices.root import scratch
from edgegan.benchmarks.devices.state import PROBE_SCRIPT, DeviceState, parse_state
from edgegan.benchmarks.measure import measure
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import BenchRecord
from edgegan.console import say
from edgegan.deployment.runtimes import LOADERS, RUNTIMES
from edgegan.errors import ConfigError, DeviceError, MissingDependency
from edgegan.files import sha256_file
from edgegan.processes import Finished
from edgegan.runtime.session import WORKER_FILE

SSH_FAILED = 255
CONNECT_TIMEOUT_S = 10
BOOTSTRAP_TIMEOUT_S = 900
VENV = ".cache/edgegan/venv"
FOLDER = re.compile(
    r"/tmp/edgegan\.[A-Za-z0-9]{8}"
)  # what mktemp may answer: it is removed again at the end
NEEDS = "apt-get install openssh-client"
PACKAGES = {name: RUNTIMES[name].package for name in ("litert", "onnxruntime")}
# Prints which of the modules import, by looking for them only: importing a runtime takes seconds on a board.
FIND_RUNTIMES = (
    "import importlib.util as u;print('PYTHON',*[n for n in {modules!r} if u.find_spec(n)])"
)


def parse_address(address: str) -> tuple[str, int | None]:
    """("user@host", port) of ssh://[user@]host[:port]; raises ConfigError for anything a tool could mistake."""
    check_plain("ssh address", address)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{address!r}: {error}; write ssh://user@host:port") from error
    if not host or parts.path.strip("/") or parts.query or parts.fragment or parts.password:
        raise ConfigError(f"{address!r} is no ssh address; write ssh://user@host:port")
    for what, text in (("host", host), ("user", parts.username or "x")):
        if text.startswith("-") or any(c in text for c in "\"'`$;&|<>()\\*?{}!%,="):
            raise ConfigError(f"{address!r}: {text!r} cannot be the name of a {what}")
    # urlsplit lowers the host's case, which an alias in ~/.ssh/config may need.
    netloc = parts.netloc.rpartition("@")[2]
    named = netloc if port is None else netloc.rpartition(":")[0]
    named = named.strip("[]")
    return (f"{parts.username}@{named}" if parts.username else named), port


class SshDevice:
    """A machine reached by ssh. `options` are more -o settings, such as a test's own key."""

    counts: Path | None = None

    def __init__(
        self,
        address: str,
        *,
        name: str | None = None,
        bootstrap: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.target, self.port = parse_address(address)
        self.name = name or self.target
        self.local = scratch()
        self.folder = ""
        self.pushed: dict[str, str] = {}
        self.numbers = itertools.count()
        settings = [
            "BatchMode=yes",
            f"ConnectTimeout={CONNECT_TIMEOUT_S}",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "ControlMaster=auto",
            f"ControlPath={self.local}/%C",
            "ControlPersist=60",
            *options,
        ]
        self.settings = [part for setting in settings for part in ("-o", setting)]
        try:
            self.folder = self.make_remote_folder()
            self.python = self.find_python(bootstrap)
        except BaseException:
            self.close()
            raise

    def ssh(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        """Runs a command there. Its words are quoted for the device's shell, the only one in the way."""
        port = ["-p", str(self.port)] if self.port else []
        line = ["ssh", *self.settings, *port, "--", self.target, shlex.join(command)]
        done = call(line, timeout_s, needs=NEEDS)
        if done.code == SSH_FAILED:
            raise DeviceError(
                f"{self.name} cannot be reached: {done.last_words()}; "
                f"this must work without a password: ssh {' '.join(port)} {self.target} true".replace(
                    "  ", " "
                )
            )
        return done

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        """Runs a command under the device's own `timeout` where it has one: killing ssh leaves the remote process."""
        guard = (
            'if command -v timeout >/dev/null; then exec timeout -s KILL "$0" "$@"; fi; exec "$@"'
        )
        return self.ssh(["sh", "-c", guard, str(int(timeout_s) + 1), *command], timeout_s + 5)

    def make_remote_folder(self) -> str:
        """A new private folder there."""
        done = self.run(["sh", "-c", "umask 077; mktemp -d /tmp/edgegan.XXXXXXXX"])
        folder = done.output.strip()
        if done.code or not FOLDER.fullmatch(folder):
            raise DeviceError(
                f"{self.name} cannot make a folder in /tmp: {done.last_words()}; free some space there"
            )
        return folder

    def find_python(self, bootstrap: bool) -> str:
        """A Python there with numpy and a runtime; with `bootstrap` a virtual environment is made when none has."""
        own = f'"$HOME"/{VENV}/bin/python'
        seen = []
        for python in (own, "python3"):
            found = self.installed(python)
            if found is None:
                continue
            if "numpy" in found and len(found) > 1:
                self.found = found
                return python
            seen.append(f"{python.replace(chr(34), '')} has {', '.join(found) or 'none of them'}")
        if not bootstrap:
            state = "; ".join(seen) or "there is no python3"
            raise MissingDependency(
                f"{self.name} lacks Python 3 with numpy and ai-edge-litert or onnxruntime ({state}); "
                "add --bootstrap to install them there in a virtual environment of its own"
            )
        self.make_environment()
        found = self.installed(own)
        if not found or "numpy" not in found or len(found) < 2:
            raise DeviceError(
                f"{self.name}: the environment in ~/{VENV} lacks the runtimes; delete it, try again"
            )
        self.found = found
        return own

    def installed(self, python: str) -> list[str] | None:
        """Which of numpy and the runtimes' modules a Python there has; None when there is no such Python."""
        modules = ["numpy", *(RUNTIMES[name].module for name in PACKAGES)]
        script = FIND_RUNTIMES.format(modules=modules)
        done = self.run(["sh", "-c", f'exec {python} -c "$0"', script])
        words = done.output.split()
        return words[1:] if done.code == 0 and words[:1] == ["PYTHON"] else None

    def make_environment(self) -> None:
        """A virtual environment with both runtimes, from the device's own package index."""
        say(f"installing {', '.join(PACKAGES.values())} on {self.name} in ~/{VENV}")
        script = (
            f'set -e; umask 077; mkdir -p "$HOME/{VENV}"; python3 -m venv "$HOME/{VENV}"; '
            f'exec "$HOME/{VENV}/bin/python" -m pip install --quiet numpy "$@"'
        )
        done = self.run(["sh", "-c", script, "sh", *PACKAGES.values()], BOOTSTRAP_TIMEOUT_S)
        if done.code:
            raise DeviceError(
                f"{self.name}: cannot install the runtimes: {done.last_words()}; "
                "the device needs python3-venv and a package index that has wheels for it"
            )

    def runtimes(self, names: Sequence[str]) -> list[str]:
        found = [name for name in names if RUNTIMES[name].module in self.found]
        if not found:
            packages = " or ".join(RUNTIMES[name].package for name in names)
            raise MissingDependency(
                f"{self.name} has none of {packages}; install one there or add --bootstrap"
            )
        return found

    def probe(self) -> DeviceState:
        done = self.run(["sh", "-c", PROBE_SCRIPT, "probe", "/sys"])
        if done.code and not done.output:
            raise DeviceError(f"{self.name} does not answer the probe: {done.last_words()}")
        return parse_state(done.output)

    def worker_command(self, runtime: str) -> list[str]:  # noqa: ARG002
        """ssh with the worker's stdin and stdout. The worker ends with the connection and by its own deadline."""
        worker = self.push(WORKER_FILE)
        port = ["-p", str(self.port)] if self.port else []
        remote = shlex.join(
            ["sh", "-c", f'exec {self.python} -u "$@"', "worker", worker, str(WORKER_DEADLINE_S)]
        )
        return ["ssh", *self.settings, *port, "--", self.target, remote]

    def push(self, local: Path) -> str:
        """Copies a file there, once for each content, under its hash: no name of the user's reaches the device."""
        digest = sha256_file(local)
        remote = f"{self.folder}/{digest[:16]}{safe_suffix(local)}"
        if remote not in self.pushed:
            self.copy(str(local.absolute()), self.remote(remote), f"push {local}")
            self.pushed[remote] = digest
        return remote

    def pull(self, remote: str, local: Path) -> None:
        self.copy(self.remote(remote), str(local.absolute()), f"pull {local.name}")

    def remote(self, path: str) -> str:
        """scp's way to name a file there."""
        user, _, host = self.target.rpartition("@")
        host = f"[{host}]" if ":" in host else host
        return f"{user}@{host}:{path}" if user else f"{host}:{path}"

    def copy(self, source: str, target: str, what: str) -> None:
        """scp; a local path is absolute, so that neither a colon nor a dash in it means anything."""
        port = ["-P", str(self.port)] if self.port else []
        command = ["scp", "-q", *self.settings, *port, "--", source, target]
        done = call(command, COPY_TIMEOUT_S, needs=NEEDS, file_bytes=MOST_PULLED_BYTES)
        if done.code:
            raise DeviceError(f"{self.name}: cannot {what}: {done.last_words()}")

    def new_path(self, suffix: str) -> str:
        return f"{self.folder}/out{next(self.numbers)}{suffix}"

    def measure(
        self, artefacts: Sequence[tuple[Path, ModelManifest]], threads: int, method: Method
    ) -> list[BenchRecord]:
        return measure(self, artefacts, threads, method)[0]

    def worker(self) -> SshDevice:
        return self

    def close(self) -> None:
        with contextlib.suppress(DeviceError, MissingDependency):
            if self.folder:
                self.ssh(["rm", "-rf", "--", self.folder], 20)
        with contextlib.suppress(DeviceError, MissingDependency):
            call(["ssh", *self.settings, "-O", "exit", "--", self.target], 10, needs=NEEDS)
        shutil.rmtree(self.local, ignore_errors=True)


def safe_suffix(path: Path) -> str:
    """The file's suffix when it is one of ours, else nothing."""
    return path.suffix if path.suffix in (*LOADERS, ".npy", ".py") else ""


def open_ssh(asked: Asked) -> SshDevice:
    """The board at an address."""
    return SshDevice(asked.address, name=asked.name, bootstrap=asked.bootstrap)


SSH = DeviceKind(open=open_ssh, form="ssh://user@host", check=parse_address)
