"""Files on disk: atomic writes, hashes, JSON that is never half written, optional imports."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs

from edgegan.contracts.bounds import parse_json, read_whole
from edgegan.errors import InputError, IntegrityError, MissingDependency, OutputError
from edgegan.ownership.descriptors import entered, write_whole
from edgegan.ownership.journal import LOCK_FILE, claim, place, refusal


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
    """Creates a folder and its parents, behind no link where the folder around is held; raises OutputError with the
    reason when it cannot."""
    journal, root, parts = place(path)
    try:
        if journal is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            with entered(root, parts, make=True):
                pass
    except (OSError, RecursionError) as error:
        if journal is not None and isinstance(error, OSError):
            raise refusal(path, error) from error
        reason = getattr(error, "strerror", "nested too deep")
        raise OutputError(
            f"cannot create folder {path}: {reason}; choose another with -o"
        ) from error
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Writes bytes under a partial name in the same folder, syncs, renames, syncs the folder; follows no link.

    Below a folder that is held (`edgegan.ownership`) the file is listed first, and one of the user's is refused.
    """
    journal, root, parts = place(path)
    if journal is None:
        make_folder(root)
    else:
        claim(path, sha256_bytes(data))
    try:
        with entered(root, parts[:-1], make=True) as folder:
            write_whole(folder, parts[-1], data)
    except OSError as error:
        raise refusal(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically; a number that is none (NaN, infinity) becomes null."""
    write_atomic(path, (json.dumps(without_nan(value), indent=2) + "\n").encode())


def without_nan(value: Any) -> Any:
    """The value with None for floats that JSON has no words for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    return [without_nan(each) for each in value] if isinstance(value, list | tuple) else value


def read_json(path: Path) -> Any:
    """Reads JSON; raises InputError naming the file when it is missing, malformed or out of bounds."""
    try:
        return parse_json(read_whole(path))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
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


@contextlib.contextmanager
def folder_lock(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Holds a folder for writing; raises OutputError when another process does, for `wait_s` and more. A killed
    process lets go; the lock's file is opened as it is and never through a link."""
    from filelock import FileLock, Timeout  # takes longer to import than all of this module

    lock = FileLock(folder / LOCK_FILE, fallback_to_soft=False)
    try:
        lock.acquire(timeout=wait_s)
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
