"""Atomic writes, locks and folders that are never emptied by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegan.errors import InputError, IntegrityError, MissingDependency, OutputError
from edgegan.files import (
    atomic_folder,
    check_sha256,
    folder_lock,
    optional_import,
    read_json,
    sha256_bytes,
    write_atomic,
)
from edgegan.run import differing_keys


def test_write_is_all_or_nothing(tmp_path: Path) -> None:
    write_atomic(tmp_path / "sub" / "a", b"1")
    assert (tmp_path / "sub" / "a").read_bytes() == b"1"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a"]


def test_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "p", "m") as folder:
        (folder / "m").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "p", "m") as folder:
        (folder / "m").write_text("x")
    with pytest.raises(OutputError, match="--overwrite"), atomic_folder(tmp_path / "p", "m"):
        pass


def test_overwrite_never_empties_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    with (
        pytest.raises(OutputError, match="was not written by edgegan"),
        atomic_folder(tmp_path / "home", "config.json", overwrite=True),
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
