"""Atomic writes, locks and folders that are never emptied by mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgegan.benchmarks.devices import root
from edgegan.compress.teacher import outputs
from edgegan.errors import InputError, IntegrityError, MissingDependency, OutputError
from edgegan.export import npm
from edgegan.files import (
    cache_folder,
    check_sha256,
    folder_lock,
    optional_import,
    read_json,
    sha256_bytes,
    write_atomic,
)
from edgegan.metrics import download
from edgegan.ownership.replacement import atomic_folder
from edgegan.run import differing_keys


def test_write_is_all_or_nothing(tmp_path: Path) -> None:
    write_atomic(tmp_path / "sub" / "a", b"1")
    assert (tmp_path / "sub" / "a").read_bytes() == b"1"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a"]


def test_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "p", "package") as folder:
        (folder / "m").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "p", "package") as folder:
        (folder / "config.json").write_text("{}")
    with (
        pytest.raises(OutputError, match="was not written by edgegan"),
        atomic_folder(tmp_path / "p", "package"),
    ):
        pass


def test_overwrite_never_empties_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    with (
        pytest.raises(OutputError, match="was not written by edgegan"),
        atomic_folder(tmp_path / "home", "package", overwrite=True),
    ):
        pass
    assert (tmp_path / "home" / "letters.txt").read_text() == "dear"


def test_one_writer(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path),
        pytest.raises(OutputError, match="another edgegan"),
        folder_lock(tmp_path),
    ):
        pass


def test_a_killed_writer_lets_go(tmp_path: Path) -> None:
    """The lock is the process's, not the file's: what the file holds stays, and a link is not followed."""
    (tmp_path / ".lock").write_text("kept")
    hold = "import sys, time, pathlib\nfrom edgegan.files import folder_lock\n"
    hold += (
        "with folder_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another edgegan"), folder_lock(tmp_path):
            pass
        writer.kill()
        writer.wait()
    with folder_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == "kept"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write in"), folder_lock(linked):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("module", ["edgegan.files", "edgegan.benchmarks.devices.root"])
def test_windows_has_no_fcntl(module: str) -> None:
    block = f"import sys; sys.modules['fcntl'] = None; import {module}"
    subprocess.run([sys.executable, "-c", block], check=True)


def test_one_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EDGEGAN_CACHE before XDG_CACHE_HOME before the home folder; an empty word counts as none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("EDGEGAN_CACHE", "")
    assert cache_folder() == tmp_path / ".cache/edgegan"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x/edgegan"
    monkeypatch.setenv("EDGEGAN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    for module in (download, npm, root):
        assert module.cache_folder is cache_folder  # type: ignore[attr-defined]


def test_reserving_without_the_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no posix_fallocate the room is taken by writing what is there."""
    monkeypatch.delattr(outputs.os, "posix_fallocate")
    monkeypatch.setattr(outputs, "BLOCK", 100)
    path = tmp_path / "array.npy"
    array = outputs.new_array(path, np.dtype(np.float32), (3, 1000))
    array[1] = 7.0
    array.flush()
    assert np.load(path).sum() == 7000
    assert path.stat().st_blocks * 512 >= 12_000


def test_hash_mismatch_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    check_sha256(tmp_path / "a", sha256_bytes(b"1"))
    with pytest.raises(IntegrityError):
        check_sha256(tmp_path / "a", sha256_bytes(b"2"))
    with pytest.raises(IntegrityError, match="missing"):
        check_sha256(tmp_path / "b", "")


def test_bad_json_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_missing_dependency_names_the_command() -> None:
    with pytest.raises(MissingDependency, match=r"pip install 'edgegan\[onnx\]'"):
        optional_import("no_such_module_here", "onnx")


def test_differing_keys() -> None:
    assert differing_keys({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 3}) == [
        "a.c",
        "d",
        "e",
    ]
