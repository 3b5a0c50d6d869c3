"""Devices by name: `edgegan devices add pi ssh://pi@board`, and what --device may say."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgegan.benchmarks.devices import listed
from edgegan.benchmarks.devices.interface import Asked, Device, DeviceKind
from edgegan.errors import ConfigError, InputError, nearest
from edgegan.files import read_json, write_json

MOST_NAME = 100
DEVICES = {name: kind for name, kind in vars(listed).items() if isinstance(kind, DeviceKind)}


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
    try:
        for name, address in devices.items():
            check_name(name)
            check_address(address)
    except ConfigError as error:
        raise InputError(f"{path}: {error}; correct or delete it") from error
    return devices


def write_book(devices: dict[str, str]) -> None:
    """Writes the list."""
    write_json(book_path(), {"schema_version": 1, "devices": devices})


def add_device(name: str, address: str) -> None:
    """Adds or changes a device; raises ConfigError for a name or an address that cannot be one."""
    check_name(name)
    check_address(address)
    write_book({**read_book(), name: address})


def check_name(name: str) -> None:
    """Raises ConfigError for a name that no device may have: records are files that are named by it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,40}", name) or name in words() or "__" in name:
        raise ConfigError(
            f"device name {name!r}: use small letters, digits, dot, dash; not {' or '.join(words())}"
        )


def check_address(address: str) -> DeviceKind:
    """The kind of an address; raises ConfigError when there is none such, or when it is not well formed."""
    scheme, mark, _ = address.partition("://")
    kind = DEVICES.get(scheme)
    if kind is None or not kind.form or not mark:
        forms = [each.form for each in DEVICES.values() if each.form]
        raise ConfigError(f"device address {address!r}: write {' or '.join(forms)}")
    kind.check(address)
    return kind


def remove_device(name: str) -> None:
    """Forgets a device; raises ConfigError when there is none of that name."""
    devices = read_book()
    if name not in devices:
        raise ConfigError(
            f"there is no device {name!r}{nearest(name, devices)}; see: edgegan devices list"
        )
    del devices[name]
    write_book(devices)


def open_device(text: str, *, emulate: str | None = None, bootstrap: bool = False) -> Device:
    """The device that --device and --emulate name: a word, a name of the book, or an address."""
    if emulate is not None and text != "arm64":
        raise ConfigError(f"--emulate goes with --device arm64, not with {text!r}")
    if text in words():
        return DEVICES[text].open(Asked(text, emulate=emulate, bootstrap=bootstrap))
    devices = read_book()
    name = slug(text)
    if text in devices:
        name, text = text, devices[text]
    elif "://" not in text:
        known = [*words(), *devices]
        forms = [kind.form for kind in DEVICES.values() if kind.form]
        raise ConfigError(
            f"--device {text!r} is unknown{nearest(text, known)}; choose from {', '.join([*known, *forms])}, "
            "or add one: edgegan devices add"
        )
    return check_address(text).open(Asked(text, name, bootstrap=bootstrap))


def words() -> list[str]:
    """Devices that are called by a word alone: no device of the book may be."""
    return [word for word, kind in DEVICES.items() if not kind.form]


def slug(text: str) -> str:
    """A file name's worth of an address."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:MOST_NAME] or "device"
