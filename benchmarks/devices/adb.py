"""A phone over adb: the system's adb, always with -s; a benchmark_model given by hand does the timing."""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.benchmark_tool import measure_with_tool
from edgegan.benchmarks.devices.interface import (
    COMMAND_TIMEOUT_S,
    COPY_TIMEOUT_S,
    MOST_PULLED_BYTES,
    Asked,
    DeviceKind,
    call,
    check_plain,
)
from edgegan.benchmarks.devices.state import (
    PROBE_SCRIPT,
    DeviceState,
    brief_text,
    parse_state,
    whole,
)
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import BenchRecord
from edgegan.errors import ConfigError, DeviceError
from edgegan.files import sha256_file
from edgegan.processes import Finished

FOLDER = "/data/local/tmp"
NEEDS = "apt-get install adb, or Android's platform-tools"
PROPERTIES = ("ro.product.model", "ro.soc.model", "ro.board.platform", "ro.build.version.release")
EXIT_MARK = "edgegan-exit:"
ADVICE = {
    "unauthorized": "unlock the phone and accept the question about USB debugging",
    "offline": "unplug it and plug it in again, or: adb reconnect offline",
    "authorizing": "wait a moment, then accept the question on the phone",
    "no permissions": "this user may not use the USB device: install android-sdk-platform-tools-common (udev rules)",
    "recovery": "start Android normally",
    "bootloader": "start Android normally",
    "sideload": "start Android normally",
}
# Android's thermal status, PowerManager.THERMAL_STATUS_*.
THERMAL_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
THERMAL_THROTTLED = 2
HOTTEST_TENTHS = 1500  # of a degree: a battery that says more tells nonsense


def adb(
    arguments: Sequence[str],
    timeout_s: float = COMMAND_TIMEOUT_S,
    *,
    file_bytes: int | None = None,
) -> Finished:
    """Runs adb."""
    return call(["adb", *arguments], timeout_s, needs=NEEDS, file_bytes=file_bytes)


def list_devices() -> dict[str, str]:
    """Serial to state of everything adb sees."""
    done = adb(["devices"])
    if done.code:
        raise DeviceError(f"adb devices failed: {done.last_words()}; try: adb kill-server")
    found = {}
    for line in done.output.splitlines():
        serial, _, state = line.partition("\t")
        if state.strip():
            found[serial] = state.strip()
    return found


def parse_address(address: str) -> str | None:
    """The serial of adb://[serial], or None."""
    if not address.startswith("adb://"):
        raise ConfigError(f"{address!r} is no adb address; write adb:// or adb://SERIAL")
    serial = address.removeprefix("adb://")
    return check_plain("adb serial", serial) if serial else None


def choose_device(serial: str | None) -> str:
    """The serial to use; raises DeviceError that says which devices there are and what to do."""
    found = list_devices()
    listed = ", ".join(f"{name!r} ({state})" for name, state in found.items()) or "none"
    if serial is None:
        if not found:
            raise DeviceError(
                "adb sees no device; switch on USB debugging and plug the phone in, or: adb connect HOST"
            )
        if len(found) > 1:
            raise DeviceError(
                f"adb sees several devices: {listed}; name one with --device adb://SERIAL"
            )
        serial = next(iter(found))
    state = found.get(serial)
    if state is None:
        raise DeviceError(f"adb does not see the device {serial!r}; it sees: {listed}")
    if state != "device":
        advice = next(
            (text for key, text in ADVICE.items() if state.startswith(key)), "see: adb devices -l"
        )
        raise DeviceError(f"device {serial!r} is {state}; {advice}")
    return serial


class AdbDevice:
    """A phone. Its files live in a folder of /data/local/tmp, under names of our own making."""

    counts: Path | None = None

    def __init__(self, address: str, *, name: str | None = None) -> None:
        self.serial = choose_device(parse_address(address))
        self.name = name or f"adb-{self.serial}"
        self.pushed: set[str] = set()
        self.numbers = itertools.count()
        self.folder = f"{FOLDER}/edgegan-{secrets.token_hex(4)}"
        done = self.run(["mkdir", "-p", self.folder])
        if done.code:
            raise DeviceError(f"{self.name} cannot make {self.folder}: {done.last_words()}")

    def run(self, command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
        """Runs a command there; its words are quoted for the phone's shell.

        The status comes back in the text, so that a lost connection is not taken for the command's own failure. When
        the connection goes, adbd hangs up on the phone's shell, which ends the command.
        """
        line = (
            f"{shlex.join(command)} & p=$!; trap 'kill -9 $p' HUP TERM; wait $p; echo {EXIT_MARK}$?"
        )
        done = adb(["-s", self.serial, "shell", line], timeout_s)
        text, mark, code = done.output.replace("\r\n", "\n").rpartition(EXIT_MARK)
        if not mark or not re.fullmatch(r"\s*\d{1,3}\s*", code, re.A):
            raise DeviceError(
                f"{self.name}: the connection broke while {command[0]} ran ({done.last_words()}); "
                "check the cable, then run the same command again"
            )
        return Finished(int(code), text, done.errors)

    def probe(self) -> DeviceState:
        """The constant probe script, Android's properties, thermal status and battery."""
        state = parse_state(self.run(["sh", "-c", PROBE_SCRIPT, "probe", "/sys"]).output)
        extra = {}
        for name in PROPERTIES:
            value = brief_text(self.run(["getprop", name]).output)
            if value:
                extra[name] = value
        thermal = re.search(
            r"Thermal Status:\s*(\d{1,3})\b", self.run(["dumpsys", "thermalservice"]).output
        )
        throttled = state.throttled
        if thermal:
            level = int(thermal[1])
            extra["thermal status"] = (
                THERMAL_NAMES[level] if level < len(THERMAL_NAMES) else str(level)
            )
            throttled = level >= THERMAL_THROTTLED
        battery = self.run(["dumpsys", "battery"]).output
        temperatures = dict(state.temperatures_c)
        for key in ("level", "temperature", "AC powered", "USB powered", "status"):
            found = re.search(rf"^\s*{key}:\s*(\S+)", battery, re.M)
            if found:
                extra[f"battery {key}"] = brief_text(found[1])
        tenths = whole(extra.get("battery temperature", ""))
        if tenths is not None and tenths < HOTTEST_TENTHS:
            temperatures["battery"] = tenths / 10
        return replace(
            state,
            extra=extra,
            temperatures_c=temperatures,
            throttled=throttled,
            board=state.board or extra.get("ro.product.model", ""),
            processor=state.processor or extra.get("ro.soc.model", ""),
        )

    def push(self, local: Path) -> str:
        """Copies a file there, once for each content, under its hash: no name of the user's reaches the device."""
        remote = f"{self.folder}/{sha256_file(local)[:16]}"
        if remote not in self.pushed:
            done = adb(["-s", self.serial, "push", str(local.absolute()), remote], COPY_TIMEOUT_S)
            if done.code:
                raise DeviceError(f"{self.name}: cannot push {local}: {done.last_words()}")
            self.pushed.add(remote)
        return remote

    def pull(self, remote: str, local: Path) -> None:
        pull = ["-s", self.serial, "pull", remote, str(local.absolute())]
        done = adb(pull, COPY_TIMEOUT_S, file_bytes=MOST_PULLED_BYTES)
        if done.code:
            raise DeviceError(f"{self.name}: cannot pull {remote}: {done.last_words()}")

    def new_path(self, suffix: str) -> str:
        return f"{self.folder}/out{next(self.numbers)}{suffix}"

    def measure(
        self, artefacts: Sequence[tuple[Path, ModelManifest]], threads: int, method: Method
    ) -> list[BenchRecord]:
        return measure_with_tool(self, artefacts, threads, method)

    def worker(self) -> None:
        """A phone has no Python."""

    def close(self) -> None:
        with contextlib.suppress(DeviceError):
            self.run(["rm", "-rf", "--", self.folder], 20)


def open_adb(asked: Asked) -> AdbDevice:
    """The phone of a serial, or the only one; that one is named by its serial."""
    return AdbDevice(asked.address, name=asked.name if parse_address(asked.address) else None)


ADB = DeviceKind(open=open_adb, form="adb://[serial]", check=parse_address)
