"""Folders that appear whole: made under a partial name beside their place, then put there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from edgegan.errors import OutputError
from edgegan.files import make_folder
from edgegan.ownership.descriptors import Folder, entered, partial_name, take
from edgegan.ownership.folders import (
    check_apart,
    check_place,
    hash_of,
    is_ours,
    name_kept,
    owned_files,
    remove_emptied,
    remove_files,
    remove_partial_folder,
    walk,
)
from edgegan.ownership.journal import LIST_FILE, Journal, Listed, listing, place, refusal
from edgegan.ownership.layouts import LAYOUTS


@contextmanager
def atomic_folder(
    path: Path, kind: str, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `path` only when the block ends well.

    Raises OutputError at once when `path` exists and `overwrite` is false, when it is not of this kind, when something
    of `inputs` lies in it, or while another edgegan writes it. Files of the user's in it stay and are named.
    """
    path = path if path.name not in ("", "..") else path.resolve()
    if path.is_symlink():
        raise OutputError(f"{path} is a link; name the folder itself with -o")
    make_folder(path.parent)
    restore(path, kind)
    check_place(path, kind)
    if path.exists():
        if not overwrite:
            raise OutputError(
                f"{path} exists; add --overwrite to replace it or choose another with -o"
            )
        check_apart(path, inputs)
    with ExitStack() as stack:
        try:
            parent = stack.enter_context(parent_of(path))
            temporary = stack.enter_context(begin(parent, path, kind))
        except OSError as error:
            raise refusal(path, error) from error
        try:
            with listing(Journal(temporary, kind)):
                yield temporary
            put(temporary, path, kind, parent)
        finally:
            if parent.mode(temporary.name):
                discard_whole(parent, temporary.name)


def parent_of(path: Path) -> AbstractContextManager[Folder]:
    """The folder that a folder stands in, behind no link where the one around is held."""
    _, root, parts = place(path)
    return entered(root, parts[:-1])


@contextmanager
def begin(parent: Folder, path: Path, kind: str) -> Iterator[Path]:
    """The new, listed partial folder of `path`, held by this process; what killed commands left of it goes first."""
    name = partial_name(path.name)
    for left in parent.names():
        if re.fullmatch(rf"\.{re.escape(path.name)}(\.\w+)?\.partial", left):
            remove_partial_folder(parent, left, kind)
    try:
        os.mkdir(parent.at(name), dir_fd=parent.descriptor)
    except FileExistsError as error:
        raise OutputError(
            f"{path} is being written by another edgegan, or {path.with_name(name)} is not edgegan's; "
            "wait for it, or choose another with -o"
        ) from error
    with parent.enter(name) as folder:
        if folder.descriptor is not None and not take(folder.descriptor):
            raise OutputError(
                f"{path} is being written by another edgegan; wait for it or choose another with -o"
            )
        Journal(path.with_name(name), kind).begin({})
        yield path.with_name(name)


def restore(path: Path, kind: str) -> None:
    """Gives back an old folder that a killed command had moved aside and not replaced."""
    with contextlib.suppress(OSError), Folder(path.parent) as parent:
        old = path.with_name(old_name(path))
        if parent.mode(path.name) or old.is_symlink() or not is_ours(old, kind):
            return
        if parent.mode(partial_name(path.name)):
            with parent.enter(partial_name(path.name)) as writer:
                if writer.descriptor is not None and not take(writer.descriptor):
                    return
        parent.move(old.name, parent, path.name)


def old_name(path: Path) -> str:
    """What an old folder is called while the new one takes its place."""
    return f".{path.name}.old.partial"


def discard_whole(parent: Folder, name: str) -> None:
    """Removes the partial folder of this process, whatever it holds."""
    with contextlib.suppress(OSError):
        with parent.enter(name) as folder:
            for entry in walk(folder.path):
                *parts, last = entry.split("/")
                with entered(folder.path, parts) as inner:
                    inner.remove(last)
            remove_folders(folder.path)
            if folder.mode(LIST_FILE):
                folder.remove(LIST_FILE)
        parent.remove_empty(name)


def remove_folders(folder: Path) -> None:
    """Removes the empty folders in one."""
    for below, _, _ in sorted(os.walk(folder), reverse=True):
        if Path(below) != folder:
            Path(below).rmdir()


def put(temporary: Path, path: Path, kind: str, parent: Folder) -> None:
    """Gives the finished folder its place: at once where nothing of the user's is in the old one, else file by file."""
    try:
        with parent.enter(temporary.name) as folder:
            new: Listed = {each: {hash_in(folder.path, each)} for each in walk(folder.path)}
            sync_below(folder.path)
        if not parent.mode(path.name):
            move_whole(parent, temporary.name, path.name)
            return
        check_place(path, kind)
        old = owned_files(path, kind)
        there = set(walk(path))
        clash = sorted((there - set(old)) & set(new))
        if clash:
            raise OutputError(
                f"{path / clash[0]} is not edgegan's; move it away or choose another folder with -o"
            )
        changed = any(
            hashes and each in there and hash_in(path, each) not in hashes
            for each, hashes in old.items()
        )
        if changed or there - set(old) or Path.cwd().is_relative_to(path.resolve()):
            put_inside(temporary, path, kind, both(old, new))
        else:
            swap(parent, temporary.name, path, kind)
    except OSError as error:
        raise refusal(path, error) from error


def both(old: Listed, new: Listed) -> Listed:
    """Files of two lists with the hashes of either."""
    found = {**old, **new}
    for path in set(old) & set(new):
        first, second = old[path], new[path]
        found[path] = None if first is None or second is None else first | second
    return found


def hash_in(folder: Path, path: str) -> str:
    """Hex sha256 of a file below a folder, nothing for a link."""
    *parts, name = path.split("/")
    with entered(folder, parts) as inner:
        return "" if (inner.path / name).is_symlink() else hash_of(inner, name)


def sync_below(folder: Path) -> None:
    """Waits until the names in a folder and in those below are on the disk."""
    for below, _, _ in os.walk(folder):
        with Folder(Path(below)) as each:
            each.sync()


def move_whole(parent: Folder, name: str, new: str) -> None:
    """Gives a finished folder a name that is free; its list has done its work."""
    with parent.enter(name) as folder:
        folder.remove(LIST_FILE)
    parent.move(name, parent, new)
    parent.sync()


def swap(parent: Folder, name: str, path: Path, kind: str) -> None:
    """Puts a finished folder in the place of an old one that holds only ours, which goes afterwards."""
    old = old_name(path)
    parent.move(path.name, parent, old)
    try:
        move_whole(parent, name, path.name)
    except BaseException:
        parent.move(old, parent, path.name)
        raise
    remove_partial_folder(parent, old, kind)


def put_inside(temporary: Path, path: Path, kind: str, listed: Listed) -> None:
    """Replaces the files of ours in a folder that holds others too; its list tells whose is whose after a kill."""
    manifest = LAYOUTS[kind].manifest
    Journal(path, kind).begin(listed)
    remove_files(path, kind)
    name_kept(path)
    for each in sorted(walk(temporary), key=lambda each: (each == manifest, each)):
        *parts, name = each.split("/")
        with entered(temporary, parts) as source, entered(path, parts, make=True) as target:
            source.move(name, target, name)
            target.sync()
    with Folder(path) as folder:
        folder.remove(LIST_FILE)
        folder.sync()
    remove_folders(temporary)
    remove_emptied(temporary)
