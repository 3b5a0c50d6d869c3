"""Checkpoints in whatever people keep them in: protocols, nesting, zip files around them, other programs' files."""

from __future__ import annotations

import argparse
import collections
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgegan.errors import CheckpointError, EdgeGANError
from edgegan.weights import read_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(
        torch.equal(found[key], value) for key, value in STATE.items()
    )


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_with_values_beside_the_weights(
    protocol: int, modern: bool, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    kept: dict[str, Any] = {
        "state_dict": {f"module.{key}": value for key, value in STATE.items()},
        "args": argparse.Namespace(ngf=64, name="x"),
        "best": np.float64(0.5),
        "curve": np.arange(3),
        "seen": collections.Counter("aab"),
    }
    torch.save(kept, path, pickle_protocol=protocol, _use_new_zipfile_serialization=modern)
    assert same(read_state(path))


class Runs:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "what",
    [
        (exec, ("open('ran', 'w').close()",)),
        (getattr, ("text", "upper")),
        (type, ("Made", (), {})),
    ],
)
def test_no_protocol_runs_code(
    protocol: int, what: Any, modern: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = {"a": Runs(*what), **STATE}
    torch.save(kept, "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=modern)
    with pytest.raises(CheckpointError, match=r"needs code|damaged"):
        read_state(Path("w.pth"))
    assert not Path("ran").exists()


def test_a_class_takes_no_state(tmp_path: Path) -> None:
    """BUILD on a class would change it for everyone."""
    path = tmp_path / "w.pth"
    torch.save(STATE, path, pickle_protocol=4)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(each for each in members if each.endswith("data.pkl"))
    text = b"".join(
        [
            *(b"\x80\x04", b"\x8c\x08argparse", b"\x8c\x09Namespace", b"\x93"),
            *(b"N}\x8c\x05spoilK\x01s\x86b", b"."),
        ]
    )
    assert pickle.PROTO == b"\x80"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for each, content in members.items():
            archive.writestr(each, text if each == name else content)
    with pytest.raises(CheckpointError):
        read_state(path)
    assert not hasattr(argparse.Namespace, "spoil")


@pytest.mark.parametrize("depth", [5, 20])
def test_wrappers_of_any_depth(depth: int, tmp_path: Path) -> None:
    nested: Any = STATE
    for level in range(depth):
        nested = {f"level{level}": nested}
    torch.save(nested, tmp_path / "w.pth")
    assert same(read_state(tmp_path / "w.pth"))


def test_a_checkpoint_inside_zip_files(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    for inner, outer in (("w.pth", "one.zip"), ("one.zip", "two.zip")):
        with zipfile.ZipFile(tmp_path / outer, "w") as archive:
            archive.write(tmp_path / inner, f"folder/{inner}")
            archive.writestr("__MACOSX/folder/._w.pth", b"x")
            archive.writestr("README.md", b"x")
        assert same(read_state(tmp_path / outer))
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(tmp_path / "w.pth", "a.pth")
        archive.write(tmp_path / "w.pth", "b.pth")
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        torch.save({"a": Runs(exec, ("1",))}, tmp_path / "code.pth")
        archive.write(tmp_path / "code.pth", "code.pth")
    with pytest.raises(CheckpointError, match=r"code\.zip \(code\.pth\) is a pickle that needs"):
        read_state(tmp_path / "code.zip")
    with pytest.raises(CheckpointError, match=r"several checkpoints: a\.pth, b\.pth"):
        read_state(tmp_path / "both.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.pth", bytes(50_000_000))
    with pytest.raises(CheckpointError, match="would unpack to"):
        read_state(tmp_path / "bomb.zip")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.ckpt.index", bytes(100), "TensorFlow checkpoint"),
        ("checkpoint", b'model_checkpoint_path: "m.ckpt"\n', "TensorFlow checkpoint"),
        ("w.pth.gz", b"\x1f\x8b" + bytes(20), "gzip archive; unpack it"),
        ("w.h5", b"\x89HDF\r\n\x1a\n" + bytes(20), "Keras file"),
    ],
)
def test_other_files_are_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EdgeGANError, match=words):
        read_state(tmp_path / name)


def test_the_prefix_of_a_tensorflow_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.ckpt.index").write_bytes(bytes(100))
    with pytest.raises(CheckpointError, match="TensorFlow checkpoint"):
        read_state(tmp_path / "m.ckpt")


def test_an_exported_program_says_the_way(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(1, 3),))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(CheckpointError, match=r"torch\.export\.load\('net\.pt2'\)"):
        read_state(tmp_path / "net.pt2")
