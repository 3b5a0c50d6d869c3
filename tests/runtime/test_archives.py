"""Archives that two programs could read differently are refused; those of torch, numpy and npm are read."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgegan.archives import ArchiveError, check_zip, read_tar

LARGE = 1 << 30


def plain(path: Path, *names: str, method: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these members, each ten bytes."""
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of a name
        for name in names:
            archive.writestr(name, b"0123456789")
    return path


def link(path: Path) -> None:
    member = zipfile.ZipInfo("a")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")


def changed(before: bytes, after: bytes) -> Callable[[Path], None]:
    """The zip of one member `a` with one part of its bytes exchanged."""

    def make(path: Path) -> None:
        data = plain(path, "a").read_bytes()
        assert data.count(before) >= 1
        path.write_bytes(data.replace(before, after, 1))

    return make


def hidden(path: Path) -> None:
    """Another member in front of the first, which the list does not name."""
    data = plain(path, "a").read_bytes()
    extra = plain(path, "b").read_bytes()[:41]
    path.write_bytes(extra + data)


def encrypted(path: Path) -> None:
    data = bytearray(plain(path, "a").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)


def commented(path: Path) -> None:
    data = plain(path, "a").read_bytes()
    path.write_bytes(data[:-2] + struct.pack("<H", 3) + b"xyz")


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "two of a name": (lambda p: plain(p, "a/b", "a/b"), "two members"),
    "two but for case": (lambda p: plain(p, "a/b", "A/b"), "two members"),
    "a folder and a file": (lambda p: plain(p, "a/", "a"), "two members"),
    "parents": (lambda p: plain(p, "a/../../b"), "leads out"),
    "absolute": (lambda p: plain(p, "/etc/x"), "leads out"),
    "a drive": (lambda p: plain(p, "C:/x"), "leads out"),
    "home": (lambda p: plain(p, "~/x"), "leads out"),
    "control characters": (lambda p: plain(p, "a\x1b[2J"), "no name"),
    "a link": (link, "link or a device"),
    "encrypted": (encrypted, "encrypted"),
    "another name in front": (changed(b"a0123456789", b"b0123456789"), "is another one"),
    "another size in front": (
        changed(struct.pack("<LL", 10, 10), struct.pack("<LL", 9, 9)),
        "two sizes",
    ),
    "something in front": (hidden, "in front of"),
    "a comment": (commented, "behind its list"),
    "something behind": (
        lambda p: p.write_bytes(plain(p, "a").read_bytes() + b"x"),
        "behind its list",
    ),
    "too many": (lambda p: plain(p, *map(str, range(11))), "11 members"),
    "no zip": (lambda p: p.write_bytes(b"PK\x03\x04 not a zip"), "behind its list|cut short"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_two_readers_could_see_differently(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgegan.archives.MOST_MEMBERS", 10)
    make, words = CASES[name]
    path = tmp_path / "x.zip"
    make(path)
    with pytest.raises(ArchiveError, match=words):
        check_zip(path, LARGE)


def test_sizes_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1_000_000))
    assert [each.file_size for each in check_zip(path, 1_000_000)] == [1_000_000]
    with pytest.raises(ArchiveError, match="would unpack to 1 MB"):
        check_zip(path, 999_999)


def test_what_torch_and_numpy_write_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pth")
    np.savez(tmp_path / "a.npz", first=np.zeros(3), second=np.zeros(2))
    np.savez_compressed(tmp_path / "b.npz", first=np.zeros(3000))
    with (
        zipfile.ZipFile(tmp_path / "wide.zip", "w") as archive,
        archive.open("a", "w", force_zip64=True) as file,
    ):
        file.write(b"x" * 100)
    for name, count in (("a.pth", 6), ("a.npz", 2), ("b.npz", 1), ("wide.zip", 1)):
        assert len(check_zip(tmp_path / name, LARGE)) >= count


def tar(path: Path, *members: tuple[str, bytes | None]) -> Path:
    """A tar of files; a member of None is a link to /etc/passwd."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size = len(data or b"")
            if data is None:
                about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(about, io.BytesIO(data or b""))
    return path


def test_tar_files(tmp_path: Path) -> None:
    path = tmp_path / "x.tgz"
    assert read_tar(tar(path, ("p/a", b"1"), ("p/b", b"2")), ["p/b", "p/c"], LARGE) == {"p/b": b"2"}
    for members, words in (
        ([("p/a", b"1"), ("p/a", b"2")], "two members"),
        ([("p/a", None)], "link or a device"),
        ([("../a", b"1")], "leads out"),
        ([("p/a", bytes(2000))], "more than"),
    ):
        with pytest.raises(ArchiveError, match=words):
            read_tar(tar(path, *members), ["p/a"], 1000)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArchiveError, match="no tar file"):
        read_tar(path, ["p/a"], LARGE)
