"""Every cell of the table of protected entry points in docs/design.md for networks, checkpoints and archives.

A cell is a kind of file and a threat: the file is refused in words, or what it tries does not happen; nothing outside
is written, and nothing without end is read.
"""

from __future__ import annotations

import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import ROOT
from support.hostile_networks import FORWARD, MEAN, ONNX, TORCHSCRIPT, script
from support.watched_networks import contents, processes_of

from edgegan.archives import ArchiveError, check_zip
from edgegan.artefact import ModelManifest
from edgegan.benchmarks.tflite_graph import conv_model
from edgegan.errors import EdgeGANError
from edgegan.export.lint import lint_apart
from edgegan.metrics.networks import open_network
from edgegan.runtime.session import Session
from edgegan.weights import read_state

Cell = Callable[[Path], object]
THREATS = ("link", "..", "absolute", "device", "size", "depth", "code")


def judged(path: Path) -> None:
    """A network asked about one picture."""
    with open_network(path) as network:
        network.call(torch.rand(1, 3, 8, 8))


def network(kind: dict[str, Callable[..., None]], name: str) -> Cell:
    """A hostile network, judged."""

    def try_it(folder: Path) -> None:
        path = folder / f"network.{'pt' if kind is TORCHSCRIPT else 'onnx'}"
        kind[name](random.Random(0), path, folder.parent / "victim")
        judged(path)

    return try_it


def with_member(suffix: str, name: str, mode: int = 0o644, size: int = 4) -> Cell:
    """An honest archive with one more member, read as its suffix says."""

    def try_it(folder: Path) -> None:
        path = folder / f"x{suffix}"
        if suffix == ".pt":
            script(path, FORWARD + MEAN)
        else:
            torch.save({"a": torch.zeros(3)}, path)
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFREG if mode < 0o10000 else 0) + mode << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, bytes(size))
        read(path)

    return try_it


def read(path: Path) -> object:
    """A file, by what reads its kind."""
    if path.suffix == ".pth":
        return read_state(path)
    if path.suffix == ".zip":
        return check_zip(path, 1 << 20)
    return judged(path) if path.suffix in (".pt", ".onnx") else session(path)


def session(path: Path) -> None:
    """An artefact in its runtime."""
    with Session(path) as opened:
        opened.run(np.zeros((1, 4), np.float32))


def device(suffix: str) -> Cell:
    """A link to a device that can be read without end, and a pipe that nobody writes into."""

    def try_it(folder: Path) -> None:
        for name, make in (
            ("zero", lambda path: path.symlink_to("/dev/zero")),
            ("pipe", lambda path: os.mkfifo(path)),
        ):
            path = folder / f"{name}{suffix}"
            make(path)
            for reader in (read, lint_apart) if suffix in (".onnx", ".tflite") else (read,):
                with pytest.raises(EdgeGANError):
                    reader(path)
        raise ArchiveError("refused")

    return try_it


def manifest_entry(entry: str) -> Cell:
    """A model.json whose runtime is to load another file."""

    def try_it(_: Path) -> None:
        ModelManifest.stays_inside(entry)

    return try_it


def other_file(folder: Path) -> None:
    """External data through a link beside the model: it is read, as the user could, and nothing more."""
    (folder / "weights").symlink_to(folder.parent / "victim")
    ONNX["outside"](random.Random(0), folder / "network.onnx", Path("/weights"))
    judged(folder / "network.onnx")


def bytes_tflite(data: bytes) -> Cell:
    def try_it(folder: Path) -> None:
        (folder / "x.tflite").write_bytes(data)
        session(folder / "x.tflite")

    return try_it


def linked_tflite(folder: Path) -> None:
    """A link is read through, never written through."""
    (folder / "x.tflite").symlink_to(folder.parent / "victim")
    session(folder / "x.tflite")


def deep_state(folder: Path) -> None:
    state: dict[str, object] = {"w": torch.zeros(1)}
    for _ in range(40):
        state = {"state_dict": state}
    torch.save(state, folder / "x.pth")
    read_state(folder / "x.pth")


class Writes:
    """A pickle that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def pickled(folder: Path) -> None:
    torch.save({"a": Writes(folder.parent / "canary")}, folder / "x.pth")
    read_state(folder / "x.pth")


def zipped(*names: str, mode: int = 0o100644, size: int = 4) -> Cell:
    def try_it(folder: Path) -> None:
        with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                member = zipfile.ZipInfo(name)
                member.external_attr, member.compress_type = mode << 16, zipfile.ZIP_DEFLATED
                archive.writestr(member, bytes(size))
        check_zip(folder / "x.zip", 1 << 20)

    return try_it


LINK, PIPE = stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644
SHORT_OFFSETS = b"\x08\x00\x00\x00TFL3" + struct.pack("<I", 0xFFFFFFF0) * 30
CELLS: dict[tuple[str, str], Cell] = {
    ("TorchScript", "link"): with_member(".pt", "network/l", LINK),
    ("TorchScript", ".."): with_member(".pt", "network/../../l"),
    ("TorchScript", "absolute"): with_member(".pt", "/tmp/l"),
    ("TorchScript", "device"): device(".pt"),
    ("TorchScript", "size"): with_member(".pt", "network/bomb", size=1 << 26),
    ("TorchScript", "depth"): network(TORCHSCRIPT, "no sense"),
    ("TorchScript", "code"): network(TORCHSCRIPT, "writes"),
    ("ONNX", "link"): other_file,
    ("ONNX", ".."): network(ONNX, "outside"),
    ("ONNX", "absolute"): network(ONNX, "absolute"),
    ("ONNX", "device"): device(".onnx"),
    ("ONNX", "size"): network(ONNX, "all memory"),
    ("ONNX", "depth"): network(ONNX, "functions of functions"),
    ("ONNX", "code"): network(ONNX, "unknown operation"),
    (".tflite", "link"): linked_tflite,
    (".tflite", ".."): manifest_entry("../x.tflite"),
    (".tflite", "absolute"): manifest_entry("/tmp/x.tflite"),
    (".tflite", "device"): device(".tflite"),
    (".tflite", "size"): bytes_tflite(conv_model(60_000, 64, 3, "fp32")),
    (".tflite", "depth"): bytes_tflite(SHORT_OFFSETS),
    (".tflite", "code"): bytes_tflite(conv_model(4, 8, 1, "fp32").replace(b"TFL3", b"TFL9")),
    (".pth", "link"): with_member(".pth", "x/l", LINK),
    (".pth", ".."): with_member(".pth", "x/../../l"),
    (".pth", "absolute"): with_member(".pth", "/tmp/l"),
    (".pth", "device"): device(".pth"),
    (".pth", "size"): with_member(".pth", "x/bomb", size=1 << 26),
    (".pth", "depth"): deep_state,
    (".pth", "code"): pickled,
    ("zip", "link"): zipped("l", mode=LINK),
    ("zip", ".."): zipped("a/../../l"),
    ("zip", "absolute"): zipped("/tmp/l"),
    ("zip", "device"): zipped("l", mode=PIPE),
    ("zip", "size"): zipped("a", size=1 << 21),
    ("zip", "depth"): zipped("/".join("a" * 600)),
    ("zip", "code"): zipped("a.py", "A.py"),
}


@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_the_cell(cell: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGAN_DEADLINE", "8")
    victim, own = tmp_path / "victim", tmp_path / "own"
    victim.write_bytes(bytes(64))
    own.mkdir()
    with pytest.raises((EdgeGANError, ValueError)) as caught:
        CELLS[cell](own)
    assert isinstance(caught.value, EdgeGANError | ArchiveError) or "outside" in str(caught.value)
    left = contents(tmp_path)
    assert [name for name in left if not name.startswith("own")] == ["victim"]
    assert victim.read_bytes() == bytes(64)
    assert not processes_of(str(tmp_path / "own"))


def test_every_cell_is_there() -> None:
    """And docs/design.md has a row for each kind, with a word for each threat."""
    kinds = dict.fromkeys(kind for kind, _ in CELLS)
    assert set(CELLS) == {(kind, threat) for kind in kinds for threat in THREATS}
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| ")}
    for kind in kinds:
        cells = [cell.strip() for cell in rows[kind].split("|")[2:-1]]
        assert len(cells) == len(THREATS) and all(cells), kind
