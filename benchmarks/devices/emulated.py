"""An emulated arm64 core (qemu-user with a counting plugin): correctness and exact instruction counts, never time."""

from __future__ import annotations

import itertools
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.counting import count_all
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.devices.interface import (
    COMMAND_TIMEOUT_S,
    WORKER_DEADLINE_S,
    Asked,
    Device,
    DeviceKind,
    call,
)
from edgegan.benchmarks.devices.root import arm64_root, check_core, scratch
from edgegan.benchmarks.devices.state import DeviceState, parse_state
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import CountRecord
from edgegan.console import say
from edgegan.errors import ConfigError, DeviceError, MissingDependency
from edgegan.processes import Finished
from edgegan.runtime.session import WORKER_FILE

DEFAULT_CORE = "cortex-a76"
INSTALLED = ("litert", "onnxruntime")


class EmulatedDevice:
    """One named core. Files are shared with this machine; `blocks` asks the plugin for opcodes beside totals."""

    def __init__(self, core: str, *, blocks: bool = True) -> None:
        self.core = check_core(core)
        self.name, self.cpu, self.blocks = f"emulated-{core}", core, blocks
        self.folder = arm64_root()
        self.view = self.folder / "cores" / core
        self.scratch = scratch()
        self.counts: Path | None = self.scratch / "counts"
        self.numbers = itertools.count()

    def qemu(self) -> list[str]:
        """The emulator, without what it is to run."""
        plugin = str(self.folder / "count_plugin.so").replace(",", ",,")
        blocks = ["EDGEGAN_BLOCKS=1"] if self.blocks else []
        command = ["env", "-u", "EDGEGAN_BLOCKS", f"EDGEGAN_COUNTS={self.counts}", *blocks]
        command += ["qemu-aarch64", "-cpu", self.cpu, "-L", str(self.view), "-plugin", plugin]
        guest = {
            "PYTHONPATH": str(self.view / "opt/runtime"),
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
        }
        for key, value in guest.items():
            command += ["-E", f"{key}={value}"]
        return command

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        """Runs an arm64 program of the root, named by its path in it."""
        program = str(self.view / command[0].lstrip("/"))
        return call([*self.qemu(), program, *command[1:]], timeout_s)

    def probe(self) -> DeviceState:
        """Asks the emulated core itself; raises DeviceError when it is not the one it should be."""
        read = (
            "import os;u=os.uname();print('machine='+u.machine);print('system=qemu-user '+u.release);"
            "[print('cpu:'+line.strip()) for line in open('/proc/cpuinfo')]"
        )
        done = self.run(["usr/bin/python3.11", "-c", read])
        state = parse_state(done.output)
        if state.machine != "aarch64" or f"CPU part={self.core.part}" not in state.midr:
            raise DeviceError(
                f"{self.name} does not answer as one ({done.last_words()}); "
                "set it up again with: edgegan devices setup-arm64 --overwrite"
            )
        return state

    def runtimes(self, names: Sequence[str]) -> list[str]:
        found = [name for name in names if name in INSTALLED]
        if not found:
            raise MissingDependency(
                f"{self.name} has {' and '.join(INSTALLED)}, none of {', '.join(names)}"
            )
        return found

    def worker_command(self, runtime: str) -> list[str]:  # noqa: ARG002
        python = str(self.view / "usr/bin/python3.11")
        worker = str(WORKER_FILE)
        return [*self.qemu(), python, "-u", worker, str(WORKER_DEADLINE_S)]

    def push(self, local: Path) -> str:
        return str(local.absolute())

    def pull(self, remote: str, local: Path) -> None:
        Path(remote).replace(local)

    def new_path(self, suffix: str) -> str:
        return str(self.scratch / f"{next(self.numbers)}{suffix}")

    def measure(
        self,
        artefacts: Sequence[tuple[Path, ModelManifest]],
        threads: int,
        method: Method,  # noqa: ARG002
    ) -> list[CountRecord]:
        if threads != 1:
            raise ConfigError("instructions are counted with one thread; leave --threads at 1")
        return count_all(self, artefacts, self.cpu)

    def worker(self) -> EmulatedDevice:
        return self

    def close(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)


def open_arm64(asked: Asked) -> Device:
    """The core to emulate, if one is named; else this machine when it is one, else the first device that was added,
    else an emulated core."""
    from edgegan.benchmarks.devices.book import open_device, read_book  # which knows every device

    if asked.emulate is not None:
        return EmulatedDevice(asked.emulate)
    if platform.machine() in ("aarch64", "arm64"):
        return HostDevice()
    devices = read_book()
    if devices:
        name = next(iter(devices))
        say(f"arm64: using the device {name} ({devices[name]}); --emulate {DEFAULT_CORE} emulates")
        return open_device(name, bootstrap=asked.bootstrap)
    say(f"arm64: no device was added, so {DEFAULT_CORE} is emulated: instruction counts, no time")
    return EmulatedDevice(DEFAULT_CORE)


ARM64 = DeviceKind(open=open_arm64)
