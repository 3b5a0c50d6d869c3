"""Open folders: what is done in them by name follows no link and cannot be led elsewhere meanwhile."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BY_DESCRIPTOR = {os.open, os.mkdir, os.unlink, os.rename, os.rmdir, os.stat} <= os.supports_dir_fd
FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0) | os.O_RDONLY
NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
NOT_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Folder:
    """One open folder. Where the system has no descriptors of folders, links are looked for before each step."""

    def __init__(self, path: Path, parent: Folder | None = None) -> None:
        self.path = path
        self.descriptor: int | None = None
        if BY_DESCRIPTOR and parent is not None:
            flags = FOLDER | os.O_NOFOLLOW
            self.descriptor = os.open(path.name, flags, dir_fd=parent.descriptor)
        elif BY_DESCRIPTOR:
            self.descriptor = os.open(path, FOLDER)
        elif not path.is_dir() or (parent is not None and path.is_symlink()):
            raise NotADirectoryError(errno.ENOTDIR, "Not a folder", str(path))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def at(self, name: str) -> str:
        """What system calls know an entry by."""
        return name if self.descriptor is not None else str(self.path / name)

    def mode(self, name: str) -> int:
        """The entry's own type and permissions, 0 where there is none."""
        try:
            return os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0

    def names(self) -> list[str]:
        """All entries, sorted."""
        place = self.path if self.descriptor is None else self.descriptor
        return sorted(os.listdir(place))  # noqa: PTH208 - of a descriptor

    def open(self, name: str, flags: int) -> int:
        """A descriptor of an entry that is no link."""
        if not BY_DESCRIPTOR and (self.path / name).is_symlink():
            raise OSError(errno.ELOOP, "Is a link", str(self.path / name))
        flags |= NO_LINK | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        return os.open(self.at(name), flags, 0o666, dir_fd=self.descriptor)

    def enter(self, name: str, *, make: bool = False) -> Folder:
        """The folder of this name in it; raises OSError for a link."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.at(name), dir_fd=self.descriptor)
        return Folder(self.path / name, self)

    def remove(self, name: str) -> None:
        """Removes a file, or a link itself."""
        os.unlink(self.at(name), dir_fd=self.descriptor)

    def remove_empty(self, name: str) -> bool:
        """Removes a folder that holds nothing; returns whether it is gone."""
        try:
            os.rmdir(self.at(name), dir_fd=self.descriptor)
        except OSError:
            return False
        return True

    def move(self, name: str, other: Folder, new: str) -> None:
        """Renames an entry into a folder, in the place of what has the new name there."""
        os.replace(
            self.at(name), other.at(new), src_dir_fd=self.descriptor, dst_dir_fd=other.descriptor
        )

    def sync(self) -> None:
        """Waits until names in it are on the disk; a file system that cannot is not waited for."""
        if self.descriptor is not None:
            try:
                os.fsync(self.descriptor)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise

    def is_entry(self, name: str, descriptor: int) -> bool:
        """Whether an entry still is the file of this descriptor."""
        try:
            found = os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(descriptor))


@contextlib.contextmanager
def entered(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[Folder]:
    """The folder `parts` below `root`; no part may be a link. `root` itself is as the user named it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(Folder(root))
        for part in parts:
            folder = stack.enter_context(folder.enter(part, make=make))
        yield folder


def take(descriptor: int) -> bool:
    """Locks an open file or folder for this process until it is closed; returns whether no other has it.

    Where there are no such locks nobody has it.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in NOT_HELD
    return True


def discard_stale(folder: Folder, name: str) -> bool:
    """Removes a partial file that no living process writes; returns whether there is none now."""
    mode = folder.mode(name)
    if not mode:
        return True
    if not stat.S_ISREG(mode):
        if stat.S_ISLNK(mode):
            folder.remove(name)
        return stat.S_ISLNK(mode)
    try:
        descriptor = folder.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        free = take(descriptor) and folder.is_entry(name, descriptor)
        if free and fcntl is not None:
            folder.remove(name)
    finally:
        os.close(descriptor)
    if free and fcntl is None:
        folder.remove(name)
    return free


def create(folder: Folder, name: str) -> int:
    """A descriptor of a new file that this process has locked; raises OSError EBUSY while another writes it."""
    for _ in range(3):
        try:
            descriptor = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            if not discard_stale(folder, name):
                break
            continue
        if take(descriptor) and folder.is_entry(name, descriptor):
            return descriptor
        os.close(descriptor)
    raise OSError(errno.EBUSY, "another process is writing it", str(folder.path / name))


def write_whole(folder: Folder, name: str, data: bytes | mmap.mmap) -> None:
    """Writes a file under a partial name, syncs it, gives it its name, and syncs the folder."""
    partial = partial_name(name)
    descriptor = create(folder, partial)
    try:
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.write(descriptor, view[done:])
        os.fsync(descriptor)
        if fcntl is None:
            os.close(descriptor)
            descriptor = -1
        folder.move(partial, folder, name)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.remove(partial)
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    folder.sync()


def detach(folder: Folder, name: str) -> None:
    """Gives a file that has other names too (hard links) a content of its own: what is written into it then changes no
    other."""
    descriptor = folder.open(name, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            if found.st_size == 0:
                write_whole(folder, name, b"")
            else:
                with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
                    write_whole(folder, name, content)
    finally:
        os.close(descriptor)


def partial_name(name: str) -> str:
    """What a file or folder is called while it is made."""
    return f".{name}.partial"
