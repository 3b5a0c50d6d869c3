"""The list `.edgegan` in a folder of ours: every file is named there before edgegan first writes it.

While a folder is held, `edgegan.files` asks here before every write below it: what is not listed is the user's.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from edgegan.errors import OutputError
from edgegan.ownership.descriptors import Folder, detach, entered, write_whole

LIST_FILE = ".edgegan"
LOCK_FILE = ".lock"
SCHEMA_VERSION = 1
LONGEST = 1 << 26  # bytes of a list that are read

Listed = dict[str, set[str] | None]  # hashes a file had; None: a working file, whatever it holds


def is_inside(path: str) -> bool:
    """Whether a relative path of a list stays in its folder."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


class Journal:
    """A list. `kind` is what the folder is, `working` beginnings of paths whose hashes tell nothing."""

    def __init__(self, folder: Path, kind: str, working: Sequence[str] = ()) -> None:
        self.folder, self.kind, self.working = folder, kind, tuple(working)
        found = read_list(folder)
        self.files: Listed = found[1] if found is not None and found[0] == kind else {}

    def is_working(self, path: str) -> bool:
        """Whether a file's hash tells nothing."""
        return path.startswith(self.working) if self.working else False

    def begin(self, files: Listed) -> None:
        """Writes the list anew, with these files."""
        self.files = dict(files)
        lines: list[dict[str, Any]] = [{"schema_version": SCHEMA_VERSION, "kind": self.kind}]
        for path, hashes in files.items():
            lines += [entry(path, sha256) for sha256 in sorted(hashes or ())] or [entry(path, None)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with Folder(self.folder) as folder:
            write_whole(folder, LIST_FILE, text.encode())

    def note(self, path: str, sha256: str | None) -> None:
        """Lists a file, with the hash it is about to have; None: a working file."""
        known = self.files.get(path, set())
        if self.is_working(path):
            sha256 = None
        if path in self.files and (known is None or sha256 in known):
            return
        line = (json.dumps(entry(path, sha256)) + "\n").encode()
        with Folder(self.folder) as folder:
            detach(folder, LIST_FILE)
            descriptor = folder.open(LIST_FILE, os.O_RDWR | os.O_APPEND)
            try:
                size = os.lseek(descriptor, 0, os.SEEK_END)
                os.lseek(descriptor, max(0, size - 1), os.SEEK_SET)
                torn = os.read(descriptor, 1) not in (b"\n", b"")
                os.write(descriptor, b"\n" + line if torn else line)
            finally:
                os.close(descriptor)
        self.files[path] = None if sha256 is None or known is None else {*known, sha256}

    def lists(self, path: str) -> bool:
        """Whether edgegan wrote it, as far as this or another process has noted."""
        if path not in self.files:
            found = read_list(self.folder)
            if found is not None and found[0] == self.kind:
                self.files = {**found[1], **self.files}
        return path in self.files


def entry(path: str, sha256: str | None) -> dict[str, Any]:
    """A line of the list."""
    return {"path": path} if sha256 is None else {"path": path, "sha256": sha256}


def read_list(folder: Path) -> tuple[str, Listed] | None:
    """What a folder's list says it is, and its files; None where there is no list. Lines cut short are passed over."""
    try:
        with Folder(folder) as opened:
            if not stat.S_ISREG(opened.mode(LIST_FILE)):
                return None
            with os.fdopen(opened.open(LIST_FILE, os.O_RDONLY), "rb") as file:
                lines = file.read(LONGEST).splitlines()
    except OSError:
        return None
    kind, files = "", Listed()
    for number, line in enumerate(lines):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(found, dict):
            continue
        if number == 0 and found.get("schema_version") == SCHEMA_VERSION:
            kind = str(found.get("kind"))
        path, sha256 = found.get("path"), found.get("sha256")
        if isinstance(path, str) and is_inside(path):
            known = files.get(path, set())
            files[path] = {*known, str(sha256)} if sha256 and known is not None else None
    return (kind, files) if kind else None


HELD: dict[str, Journal] = {}  # the folders that this process writes, by their absolute paths


@contextlib.contextmanager
def listing(journal: Journal) -> Iterator[None]:
    """While it lasts, what this process writes below the folder is listed."""
    folder = journal.folder
    names = {os.path.abspath(folder), str(folder.resolve())}  # noqa: PTH100
    before = {name: HELD.get(name) for name in names}
    HELD.update(dict.fromkeys(names, journal))
    try:
        yield
    finally:
        for name, other in before.items():
            if other is None:
                HELD.pop(name, None)
            else:
                HELD[name] = other


def place(path: Path) -> tuple[Journal | None, Path, tuple[str, ...]]:
    """The list that a path belongs to, the folder it is written below, and the parts from there to the file."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay what they are
    for parent in whole.parents:
        journal = HELD.get(str(parent))
        if journal is not None:
            return journal, parent, whole.relative_to(parent).parts
    return None, whole.parent, (whole.name,)


def claim(path: Path, sha256: str | None = None) -> None:
    """Lists a file that is about to be written; raises OutputError where it is the user's, or lies behind a link.

    Without a hash it is written in place, so one that has other names too (hard links) is made a file of its own.
    """
    journal, root, parts = place(path)
    if journal is None:
        return
    name = "/".join(parts)
    try:
        with entered(root, parts[:-1], make=True) as folder:
            mode = folder.mode(parts[-1])
            if mode and (stat.S_ISLNK(mode) or not journal.lists(name)):
                raise OutputError(
                    f"{path} is not edgegan's ({'a link' if stat.S_ISLNK(mode) else 'not in'} "
                    f"{root / LIST_FILE}); move it away or choose another folder with -o"
                )
            journal.note(name, sha256)
            if mode and sha256 is None:
                detach(folder, parts[-1])
    except OSError as error:
        raise refusal(path, error) from error


def refusal(path: Path, error: OSError) -> OutputError:
    """Why something cannot be written, as an OutputError; a link in the way is named."""
    for parent in (path, *path.parents):
        if parent.is_symlink() and place(path)[1] in parent.parents:
            return OutputError(
                f"cannot write {path}: {parent} is a link, and edgegan writes behind none; put a folder there"
            )
    return OutputError(
        f"cannot write {path}: {error.strerror}; free space or choose another folder with -o"
    )
