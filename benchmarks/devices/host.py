"""This machine as a device."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgegan.benchmarks.devices.interface import COMMAND_TIMEOUT_S, Finished, call
from edgegan.benchmarks.devices.state import PROBE_SCRIPT, DeviceState, parse_state
from edgegan.runtime.session import Here


class HostDevice(Here):
    """This machine. Files need no copying; `sysfs` stands for /sys in tests."""

    def __init__(self, name: str = "host", sysfs: Path = Path("/sys")) -> None:
        self.name, self.sysfs = name, sysfs

    def probe(self) -> DeviceState:
        if shutil.which("sh") is None:
            return DeviceState()
        return parse_state(self.run(["sh", "-c", PROBE_SCRIPT, "probe", str(self.sysfs)]).output)

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        return call(command, timeout_s)

    def close(self) -> None:
        """Nothing was copied."""
