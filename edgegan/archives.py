"""The one reader that decides what an archive holds: what two readers could see differently is refused.

A zip file names its members twice, in front of each and in a list at its end. Programs differ in which of the two they
read, in which of two members of one name they take, and in what they make of case; so all of it has to agree.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

MOST_MEMBERS = 100_000
MOST_NAME = 1000
ENCRYPTED, SIZES_BEHIND = 1 << 0, 1 << 3
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
END_BYTES, END_MARK = 22, b"PK\x05\x06"
WIDE = 0xFFFFFFFF
LINK_OR_DEVICE = (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)


class ArchiveError(ValueError):
    """An archive that two programs could read differently, that leads out of its folder, or that is too large."""


def is_zip(path: Path) -> bool:
    """Whether any program would take a file for a zip: by its first bytes or by its last."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or zipfile.is_zipfile(path)


def check_zip(
    path: Path, most_bytes: int, most_members: int | None = None
) -> list[zipfile.ZipInfo]:
    """The members of a zip file that would unpack to at most `most_bytes`; raises ArchiveError, OSError as it comes."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            check_end(file)
            members = archive.infolist()
            names = [member.orig_filename for member in members]
            check_names(names, [member.filename for member in members], most_members)
            unpacked = sum(member.file_size for member in members)
            if unpacked > most_bytes:
                raise ArchiveError(f"it would unpack to {unpacked / 1e6:,.0f} MB")
            taken = 0
            for member in sorted(members, key=lambda each: each.header_offset):
                if member.header_offset < taken or (taken == 0 and member.header_offset > 0):
                    raise ArchiveError(f"something lies in front of its member {member.filename!r}")
                taken = check_local(file, member)
            if taken > archive.start_dir:
                raise ArchiveError("its members reach into the list at its end")
            return members
    except (zipfile.BadZipFile, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        raise ArchiveError(f"it is damaged or cut short ({error})") from error


def check_end(file: IO[bytes]) -> None:
    """The list's end is the file's end, without a comment in which another end could stand."""
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - END_BYTES))
    end = file.read(END_BYTES)
    if not end.startswith(END_MARK) or end[-2:] != b"\0\0":
        raise ArchiveError("something lies behind its list of members")


def check_names(
    names: Sequence[str], shown: Sequence[str], most_members: int | None = None
) -> None:
    """Few enough, each once whatever the case, none that leads out of a folder or hides a part of itself."""
    most = most_members or MOST_MEMBERS
    if len(names) > most:
        raise ArchiveError(f"it has {len(names):,} members, allowed are {most:,}")
    if list(names) != list(shown):
        raise ArchiveError("a member's name holds a NUL or a backslash")
    seen: set[str] = set()
    for name in names:
        check_name(name)
        folded = name.rstrip("/").casefold()
        if folded in seen:
            raise ArchiveError(f"two members are named {name!r}")
        seen.add(folded)


def check_name(name: str) -> None:
    """Raises ArchiveError for a name that leads out of the folder where it is unpacked, or is none."""
    parts = PurePosixPath(name).parts
    if not parts or len(name) > MOST_NAME or not name.isprintable():
        raise ArchiveError(f"{name[:80]!r} is no name of a member")
    if name.startswith(("/", "~")) or ".." in parts or "\\" in name or parts[0][1:2] == ":":
        raise ArchiveError(f"its member {name!r} leads out of the archive's folder")


def check_local(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """What stands in front of a member says the same as the list; returns where the member ends."""
    name = member.filename
    if member.flag_bits & ENCRYPTED:
        raise ArchiveError(f"its member {name!r} is encrypted")
    if stat.S_IFMT(member.external_attr >> 16) in LINK_OR_DEVICE:
        raise ArchiveError(f"its member {name!r} is a link or a device")
    file.seek(member.header_offset)
    mark, _, flags, method, _, _, _, packed, size, name_length, more = LOCAL_HEADER.unpack(
        file.read(LOCAL_HEADER.size)
    )
    own = file.read(name_length)
    encoding = "utf-8" if flags & 0x800 else "cp437"
    same = mark == b"PK\x03\x04" and method == member.compress_type
    same = same and (flags & ~SIZES_BEHIND) == (member.flag_bits & ~SIZES_BEHIND)
    if not same or own.decode(encoding) != name:
        raise ArchiveError(f"its member {name!r} is another one in the list at its end")
    behind = flags & SIZES_BEHIND and packed == size == 0
    wide = WIDE in (packed, size)  # written in full in the part that follows the name
    if not behind and not wide and (packed, size) != (member.compress_size, member.file_size):
        raise ArchiveError(f"its member {name!r} has two sizes")
    if wide and not behind:
        check_wide(file.read(more), packed, size, member)
    return member.header_offset + LOCAL_HEADER.size + name_length + more + member.compress_size


def check_wide(more: bytes, packed: int, size: int, member: zipfile.ZipInfo) -> None:
    """The sizes of a member too large for the usual fields: unpacked, then packed, those of the two that are absent."""
    while len(more) >= 4:
        kind, length = struct.unpack("<HH", more[:4])
        if kind == 1:
            found = iter(struct.unpack(f"<{length // 8}Q", more[4 : 4 + length // 8 * 8]))
            whole = next(found, None) if size == WIDE else size
            short = next(found, None) if packed == WIDE else packed
            if (short, whole) in ((member.compress_size, member.file_size), (0, 0)):
                return
        more = more[4 + length :]
    raise ArchiveError(f"its member {member.filename!r} has two sizes")


def read_tar(path: Path, names: Collection[str], most_bytes: int) -> dict[str, bytes]:
    """The bytes of the members of these names of a tar file, those that there are; raises ArchiveError as `tar_members`
    does."""
    return {
        name: read()
        for name, _, read in tar_members(path, most_bytes)
        if name in names and read is not None
    }


def tar_members(
    path: Path, most_bytes: int, most_members: int | None = None
) -> Iterator[tuple[str, int, Callable[[], bytes] | None]]:
    """The members of a tar file in order: name, size, and for a file what reads it while it is the last one given.

    Raises ArchiveError for an archive with links, devices, two members of a name, names that lead out of it, or more
    than `most_bytes` unpacked.
    """
    seen: set[str] = set()
    total = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                check_name(member.name)
                total += member.size
                if len(seen) >= (most_members or MOST_MEMBERS) or total > most_bytes:
                    raise ArchiveError(f"it would unpack to more than {most_bytes / 1e6:,.0f} MB")
                if not (member.isreg() or member.isdir()):
                    raise ArchiveError(f"its member {member.name!r} is a link or a device")
                if member.name.casefold() in seen:
                    raise ArchiveError(f"two members are named {member.name!r}")
                seen.add(member.name.casefold())
                stream = archive.extractfile(member)
                yield member.name, member.size, stream.read if stream is not None else None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(f"it is no tar file ({error})") from error
