"""Files of a data set where people have them: in a folder, a zip or a tar file, looked through before any is read.

Archives are untrusted: bounded in size, number and ratio, without links, and no name leads out of them.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgegan.archives import ArchiveError, check_zip, is_zip, tar_members
from edgegan.errors import InputError

MOST_BYTES = 64_000_000_000
MOST_MEMBERS = 400_000
MOST_RATIO = 20  # pictures are packed already
SMALL_BYTES = 200_000_000  # may be packed as tightly as they like
MOST_FILE_BYTES = 100_000_000
Read = Callable[[], bytes]
HOW = "give the archive as it was published, or the folder it unpacks to"


def listed_files(source: Path) -> dict[str, int]:
    """Every file of a folder, zip or tar file by its path in it, with its size in bytes; raises InputError for an
    archive that is damaged or not to be trusted."""
    return {name: size for name, size, _ in files_of(source)}


def files_of(source: Path) -> Iterator[tuple[str, int, Read]]:
    """The files in order: path, size, and what reads one while it is the last one given. Raises InputError."""
    if source.is_dir():
        yield from folder_files(source)
        return
    if not source.is_file():
        raise InputError(f"{source} does not exist; {HOW}")
    most = min(MOST_BYTES, max(SMALL_BYTES, MOST_RATIO * source.stat().st_size))
    try:
        if is_zip(source):
            yield from zip_files(source, most)
        elif tarfile.is_tarfile(source):
            for name, size, read in tar_members(source, most, MOST_MEMBERS):
                if read is not None:
                    yield check_size(name, size), size, read
        else:
            raise ArchiveError("it is neither a zip nor a tar file")
    except (ArchiveError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"{source} was not unpacked: {error}; {HOW}") from error


def zip_files(source: Path, most: int) -> Iterator[tuple[str, int, Read]]:
    """The files of a zip archive."""
    members = check_zip(source, most, MOST_MEMBERS)
    with zipfile.ZipFile(source) as archive:
        for member in members:
            if not member.is_dir():
                name = check_size(member.filename, member.file_size)
                yield name, member.file_size, lambda m=member: archive.read(m)  # type: ignore[misc]


def folder_files(folder: Path) -> Iterator[tuple[str, int, Read]]:
    """The plain files below a folder, sorted; links are passed over, for they are names of others."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                size = path.stat().st_size
                inside = path.relative_to(folder).as_posix()
                yield check_size(inside, size), size, path.read_bytes


def check_size(name: str, size: int) -> str:
    """The name; raises ArchiveError for a file that is no picture of a data set."""
    if size > MOST_FILE_BYTES and name.lower().endswith((".png", ".jpg", ".jpeg")):
        raise ArchiveError(f"{name!r} has {size / 1e6:,.0f} MB")
    return name
