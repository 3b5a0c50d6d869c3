"""Files on disk: atomic writes, hashes, JSON that is never half written, optional imports."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs

from edgegan.errors import InputError, IntegrityError, MissingDependency, OutputError


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form: what a stage's inputs are keyed by."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def cache_folder() -> Path:
    """Where what is fetched or built once is kept: $EDGEGAN_CACHE, else edgegan in the user's cache folder."""
    own = os.environ.get("EDGEGAN_CACHE")
    found = Path(own) if own else platformdirs.user_cache_path("edgegan", appauthor=False)
    return found.absolute()


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents; raises OutputError with the reason when it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot create folder {path}: {error.strerror}; choose another with -o"
        ) from error
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Writes bytes under a temporary name in the same folder, syncs, then renames."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}; free space or choose another folder with -o"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically."""
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; raises InputError naming the file when it is missing or malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is not readable JSON ({error}); make it again with the command that wrote it"
        ) from error


def check_sha256(path: Path, expected: str) -> None:
    """Raises IntegrityError unless the file exists and has this hash."""
    if not path.is_file():
        raise IntegrityError(
            f"{path} is named by its manifest but is missing; run the command that wrote it again"
        )
    if sha256_file(path) != expected:
        raise IntegrityError(
            f"{path} is not the file its manifest describes (sha256 differs); "
            "run the command that wrote it again with --overwrite"
        )


def clear_folder(path: Path, marker: str) -> None:
    """Removes a folder that edgegan wrote, known by its `marker` file; refuses any other folder that is not empty."""
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / marker).is_file()):
        raise OutputError(
            f"{path} was not written by edgegan (no {marker} in it), so --overwrite does not touch it; "
            "choose another with -o"
        )
    shutil.rmtree(path)


@contextlib.contextmanager
def atomic_folder(path: Path, marker: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `path` only when the block ends well.

    Raises OutputError at once when `path` exists and `overwrite` is false, or when it lacks `marker`.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; add --overwrite to replace it or choose another with -o")
    make_folder(path.parent)
    try:
        temporary = Path(
            tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        )
    except OSError as error:
        raise OutputError(
            f"cannot write in {path.parent}: {error.strerror}; choose another folder with -o"
        ) from error
    try:
        temporary.chmod(0o755)
        yield temporary
        clear_folder(path, marker)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds a folder for writing; raises OutputError when another process does. A killed process lets go."""
    from filelock import FileLock, Timeout  # takes longer to import than all of this module

    lock = FileLock(folder / ".lock", fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OutputError(
            f"{folder} is being written by another edgegan; wait for it or choose another with -o"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write in {folder}: {error.strerror}; choose another with -o"
        ) from error
    try:
        yield
    finally:
        lock.release()


def optional_import(module: str, extra: str) -> ModuleType:
    """Imports an optional package; raises MissingDependency with the pip command when it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependency(
            f"this needs the Python package '{module}' ({error}); install it with: pip install 'edgegan[{extra}]'"
        ) from error
