"""The APK as a zip: writing it aligned, and checking alignment and storage of any APK."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

PAGE = 16384  # Android devices with 16 KB pages map libraries from such offsets only
ALIGNMENT_FIELD = 0xD935  # the extra field that apksigner keeps
STORED = (".so", ".tflite", ".f32", "resources.arsc")
ELF_LOAD = 1


def alignment(name: str) -> int:
    """The offset an uncompressed entry's data must be a multiple of."""
    return PAGE if name.endswith(".so") else 64 if name.endswith(".tflite") else 4


def align(source: Path, target: Path) -> None:
    """Copies an APK: libraries, models and the resource table stored and aligned, the rest as it was."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in sorted(old.infolist(), key=lambda e: e.filename):
            copy = zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0))
            stored = entry.compress_type == zipfile.ZIP_STORED or entry.filename.endswith(STORED)
            copy.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            copy.external_attr, copy.create_system = 0o644 << 16, 0
            if stored:
                assert new.fp is not None
                wanted = alignment(entry.filename)
                header = new.fp.tell() + 30 + len(entry.filename.encode()) + 6
                padding = -header % wanted
                copy.extra = struct.pack("<HHH", ALIGNMENT_FIELD, 2 + padding, wanted) + bytes(
                    padding
                )
            new.writestr(copy, old.read(entry))


def problems(path: Path) -> list[str]:
    """What Android would refuse or could not map: one line for each finding."""
    found = []
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            name = entry.filename
            if name.endswith(STORED) and entry.compress_type != zipfile.ZIP_STORED:
                found.append(f"{name} is compressed; it must be stored to be mapped")
                continue
            file.seek(entry.header_offset + 26)
            lengths = struct.unpack("<HH", file.read(4))
            offset = entry.header_offset + 30 + sum(lengths)
            if entry.compress_type == zipfile.ZIP_STORED and offset % alignment(name):
                found.append(f"{name} lies at offset {offset}, not a multiple of {alignment(name)}")
            if name.endswith(".so"):
                found += library_problems(name, archive.read(entry))
    return found


def library_problems(name: str, data: bytes) -> list[str]:
    """Load segments of a 64-bit ELF library that are aligned to less than 16 KB."""
    if data[:4] != b"\x7fELF":
        return [f"{name} is not an ELF library"]
    if data[4] != 2:
        return []
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [table + size * index for index in range(count)]
    aligned = [
        struct.unpack_from("<Q", data, at + 48)[0]
        for at in segments
        if struct.unpack_from("<I", data, at)[0] == ELF_LOAD
    ]
    return [
        f"{name} has load segments aligned to {value}, not {PAGE}"
        for value in aligned
        if value < PAGE
    ][:1]
