"""This machine as a device."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.devices.interface import COMMAND_TIMEOUT_S, DeviceKind, call
from edgegan.benchmarks.devices.state import PROBE_SCRIPT, DeviceState, parse_state
from edgegan.benchmarks.measure import measure
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import BenchRecord
from edgegan.processes import Finished
from edgegan.runtime.session import Here


class HostDevice(Here):
    """This machine. Files need no copying; `sysfs` stands for /sys in tests."""

    counts: Path | None = None

    def __init__(self, name: str = "host", sysfs: Path = Path("/sys")) -> None:
        self.name, self.sysfs = name, sysfs

    def probe(self) -> DeviceState:
        if shutil.which("sh") is None:
            return DeviceState()
        return parse_state(self.run(["sh", "-c", PROBE_SCRIPT, "probe", str(self.sysfs)]).output)

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        return call(command, timeout_s)

    def measure(
        self, artefacts: Sequence[tuple[Path, ModelManifest]], threads: int, method: Method
    ) -> list[BenchRecord]:
        return measure(self, artefacts, threads, method)[0]

    def worker(self) -> HostDevice:
        return self

    def close(self) -> None:
        """Nothing was copied."""


HOST = DeviceKind(open=lambda _: HostDevice())
