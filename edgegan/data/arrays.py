"""Arrays from .npy and .npz files that anyone may have written: headers and sizes checked before memory is taken."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgegan.archives import check_zip
from edgegan.errors import InputError

MOST_HEADER = 10_000
MOST_RANK = 8
MOST_UNPACKED = 1_000_000_000
MOST_ALTOGETHER = 1 << 40  # what is not asked for is not unpacked
MOST_RATIO = 40  # of the bytes in an .npz, unpacked to packed
SMALL_BYTES = 50_000_000  # may be packed as tightly as it likes
KINDS = "biuf"
DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    SyntaxError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    RecursionError,
    tokenize.TokenError,  # of a header that ends early
    zipfile.BadZipFile,
    zlib.error,
)


def open_array(path: Path) -> NDArray[Any]:
    """A .npy file, mapped and not read; raises InputError naming it when it is missing or damaged."""
    if not path.is_file():
        raise InputError(f"array {path} does not exist")
    try:
        with path.open("rb") as file:
            shape, dtype = read_header(file)
            body = path.stat().st_size - file.tell()
        if math.prod(shape) * dtype.itemsize != body:
            raise ValueError(f"{dtype} {shape} is not what {body} bytes hold")
        if not body:
            return np.empty(shape, dtype)
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise damaged(path, error) from error
    return np.asanyarray(loaded)


def read_npz(path: Path, name: str, *, only: bool = False) -> NDArray[Any]:
    """The array `name` of an .npz file, or unless `only` its first; raises InputError naming the file when it is
    damaged, unpacks to far more than it is, or has no such array."""
    if not path.is_file():
        raise InputError(f"array {path} does not exist")
    try:
        unpacked = check_zip(path, MOST_ALTOGETHER)
        with zipfile.ZipFile(path) as archive:
            members = [each for each in unpacked if each.filename.endswith(".npy")]
            if not members:
                raise ValueError("there is no array in it")
            chosen = next((m for m in members if m.filename == f"{name}.npy"), members[0])
            if only and chosen.filename != f"{name}.npy":
                raise ValueError(f"there is no array '{name}' in it")
            most = min(MOST_UNPACKED, max(SMALL_BYTES, MOST_RATIO * path.stat().st_size))
            if chosen.file_size > most:
                raise ValueError(f"{chosen.filename} would unpack to {chosen.file_size:,} bytes")
            with archive.open(chosen) as file:
                shape, dtype = read_header(file)
                size = math.prod(shape) * dtype.itemsize
                if size > most or size > chosen.file_size:
                    raise ValueError(f"{dtype} {shape} is not what {chosen.file_size:,} bytes hold")
                content = file.read(size)
        if len(content) != size:
            raise ValueError("it ends early")
        return np.frombuffer(content, dtype).reshape(shape)
    except DAMAGE as error:
        raise damaged(path, error) from error


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that begins here; raises ValueError for what is no plain array of numbers."""
    version = npy.read_magic(file)
    if version == (1, 0):
        header = npy.read_array_header_1_0(file, MOST_HEADER)
    elif version == (2, 0):
        header = npy.read_array_header_2_0(file, MOST_HEADER)
    else:
        raise ValueError(f"version {version} of the format is not known")
    shape, in_columns, dtype = header
    if dtype.kind not in KINDS or dtype.hasobject:
        raise ValueError(f"it holds {dtype}, not numbers")
    if in_columns and len(shape) > 1:
        raise ValueError("it is in Fortran order; save it with numpy.ascontiguousarray")
    if len(shape) > MOST_RANK or any(side < 0 for side in shape):
        raise ValueError(f"{shape} is not a shape")
    return shape, dtype


def damaged(path: Path, error: BaseException) -> InputError:
    """The error that names a file."""
    return InputError(f"{path} is not a readable .npy or .npz file ({error})")
