"""Ways to spoil one file of a workspace of valid inputs; each returns a function of the workspace."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from support.bad_inputs import restamp


def recipe(change: dict[str, object]) -> Callable[[Path], object]:
    """Changes dotted keys of recipe.yaml."""

    def spoil(folder: Path) -> None:
        values = yaml.safe_load((folder / "recipe.yaml").read_text())
        for key, value in change.items():
            *parents, last = key.split(".")
            target = values
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = value
        (folder / "recipe.yaml").write_text(yaml.safe_dump(values))

    return spoil


def content(name: str, data: bytes | str) -> Callable[[Path], object]:
    """Writes a file."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    return spoil


def edit_json(name: str, **change: object) -> Callable[[Path], object]:
    """Changes keys of a JSON file; None removes one."""

    def spoil(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        values = {k: v for k, v in (values | change).items() if v is not None}
        (folder / name).write_text(json.dumps(values))

    return spoil


def remove(name: str) -> Callable[[Path], object]:
    """Removes a file or folder."""

    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def cut(name: str, keep: float = 0.5) -> Callable[[Path], object]:
    """Cuts a file off."""

    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return spoil


def flip(name: str) -> Callable[[Path], object]:
    """Changes one byte in the middle of a file."""

    def spoil(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 255
        (folder / name).write_bytes(bytes(data))

    return spoil


def label(values: np.ndarray, name: str = "labels/0.png") -> Callable[[Path], object]:
    """Writes a label map."""
    return lambda folder: Image.fromarray(values).save(folder / name)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", body)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def damaged_artefact(data: bytes) -> Callable[[Path], object]:
    """An artefact of other bytes whose manifests agree with it."""

    def spoil(folder: Path) -> None:
        (folder / "run/export/student_fp32.onnx").write_bytes(data)
        restamp(folder / "run/export")

    return spoil


def several(*parts: Callable[[Path], object]) -> Callable[[Path], object]:
    """One after the other."""

    def spoil(folder: Path) -> None:
        for part in parts:
            part(folder)

    return spoil
