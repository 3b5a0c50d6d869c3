"""Devices by name: `edgegan devices add pi ssh://pi@board`, and what --device may say."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from edgegan.benchmarks.devices import adb, ssh
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.console import say
from edgegan.errors import ConfigError, InputError, nearest
from edgegan.files import read_json, write_json

RESERVED = ("host", "arm64")
DEFAULT_CORE = "cortex-a76"
AnyDevice = HostDevice | EmulatedDevice | ssh.SshDevice | adb.AdbDevice


def book_path() -> Path:
    """devices.json in the user's configuration folder."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "edgegan" / "devices.json"


def read_book() -> dict[str, str]:
    """Name to address of every device that was added."""
    path = book_path()
    if not path.is_file():
        return {}
    values = read_json(path)
    devices = values.get("devices") if isinstance(values, dict) else None
    if not isinstance(devices, dict) or not all(isinstance(v, str) for v in devices.values()):
        raise InputError(f"{path} is not a list of devices; correct or delete it")
    return devices


def write_book(devices: dict[str, str]) -> None:
    """Writes the list."""
    write_json(book_path(), {"schema_version": 1, "devices": devices})


def add_device(name: str, address: str) -> None:
    """Adds or changes a device; raises ConfigError for a name or an address that cannot be one."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,40}", name) or name in RESERVED or "__" in name:
        raise ConfigError(
            f"device name {name!r}: use small letters, digits, dot, dash; not {' or '.join(RESERVED)}"
        )
    check_address(address)
    write_book({**read_book(), name: address})


def check_address(address: str) -> None:
    """Raises ConfigError unless the address is ssh:// or adb:// and well formed."""
    if address.startswith("ssh://"):
        ssh.parse_address(address)
    elif address.startswith("adb://"):
        adb.parse_address(address)
    else:
        raise ConfigError(
            f"device address {address!r}: write ssh://user@host, adb:// or adb://SERIAL"
        )


def remove_device(name: str) -> None:
    """Forgets a device; raises ConfigError when there is none of that name."""
    devices = read_book()
    if name not in devices:
        raise ConfigError(
            f"there is no device {name!r}{nearest(name, devices)}; see: edgegan devices list"
        )
    del devices[name]
    write_book(devices)


def open_device(text: str, *, emulate: str | None = None, bootstrap: bool = False) -> AnyDevice:
    """The device that --device and --emulate name.

    "arm64" is this machine when it is one, else the first device that was added, else an emulated core.
    """
    if emulate is not None:
        if text != "arm64":
            raise ConfigError(f"--emulate goes with --device arm64, not with {text!r}")
        return EmulatedDevice(emulate)
    if text == "host":
        return HostDevice()
    devices = read_book()
    if text == "arm64":
        if platform.machine() in ("aarch64", "arm64"):
            return HostDevice()
        if devices:
            name = next(iter(devices))
            say(
                f"arm64: using the device {name} ({devices[name]}); --emulate {DEFAULT_CORE} emulates"
            )
            return open_device(name, bootstrap=bootstrap)
        say(
            f"arm64: no device was added, so {DEFAULT_CORE} is emulated: instruction counts, no time"
        )
        return EmulatedDevice(DEFAULT_CORE)
    name = slug(text)
    if text in devices:
        name, text = text, devices[text]
    elif "://" not in text:
        known = [*RESERVED, *devices]
        raise ConfigError(
            f"--device {text!r} is unknown{nearest(text, known)}; choose from {', '.join(known)}, "
            "ssh://user@host, adb://[serial], or add one: edgegan devices add"
        )
    check_address(text)
    if text.startswith("ssh://"):
        return ssh.SshDevice(text, name=name, bootstrap=bootstrap)
    return adb.AdbDevice(text, name=None if text == "adb://" else name)


def slug(text: str) -> str:
    """A file name's worth of an address."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "device"
