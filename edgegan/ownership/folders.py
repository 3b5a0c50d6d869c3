"""Folders of ours: one writer at a time, and replacing that removes what edgegan listed and nothing else.

A folder is ours when its list or a valid manifest says so, never because a file has a certain name. What is not listed
is the user's and stays; what is listed with another hash than the file has was changed by the user and is set aside.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edgegan.console import say
from edgegan.errors import OutputError
from edgegan.files import folder_lock, make_folder
from edgegan.ownership.descriptors import Folder, discard_stale, entered, partial_name, take
from edgegan.ownership.journal import (
    LIST_FILE,
    LOCK_FILE,
    Journal,
    Listed,
    listing,
    place,
    read_list,
    refusal,
)
from edgegan.ownership.layouts import LAYOUTS, Layout

LARGEST_MANIFEST = 1 << 26
PARTIAL = re.compile(r"\.((.+?)(?:\.\w+)?)\.partial", re.DOTALL)
SHOWN = 3
BY_LINK = ("run", "quickstart", "compare")  # what a user may have put behind a link


def manifest_values(folder: Path, name: str) -> Any:
    """The JSON of a manifest, or None where it cannot be read; links are not followed."""
    parts = name.split("/")
    try:
        with entered(folder, parts[:-1]) as inner:
            if not stat.S_ISREG(inner.mode(parts[-1])):
                return None
            with os.fdopen(inner.open(parts[-1], os.O_RDONLY), "rb") as file:
                return json.loads(file.read(LARGEST_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return None


def manifest_files(folder: Path, layout: Layout) -> Listed | None:
    """The files that a valid manifest of this kind lists; None where there is none."""
    values = manifest_values(folder, layout.manifest) if layout.manifest else None
    return None if values is None else layout.listed(values)


def is_ours(folder: Path, kind: str) -> bool:
    """Whether the folder's list or its manifest says that edgegan wrote it as this kind."""
    found = read_list(folder)
    if found is not None:
        return found[0] == kind
    return manifest_files(folder, LAYOUTS[kind]) is not None


def owned_files(folder: Path, kind: str) -> Listed:
    """What edgegan wrote in a folder of ours: of its list and its manifest, with every hash a file may have."""
    layout, listed = LAYOUTS[kind], read_list(folder)
    told = manifest_files(folder, layout)
    found: Listed = dict(told or {})
    if listed is not None and listed[0] == kind:
        for path, hashes in listed[1].items():
            known = found.get(path)
            found[path] = {*known, *(hashes or ())} if known else hashes
    elif told is not None or layout.proof is not None:  # of a version that kept no list
        for path in walk(folder):
            named = any(fnmatch.fnmatch(path, pattern) for pattern in layout.names)
            if named and (layout.proof is None or layout.proof(manifest_values(folder, path))):
                found.setdefault(path, None)
    return {
        path: None if path.startswith(layout.working or "\0") else hashes
        for path, hashes in found.items()
    }


def walk(folder: Path) -> list[str]:
    """Every file and link below a folder but its list and lock, relative, no link followed."""
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [(here / name).relative_to(folder).as_posix() for name in [*files, *links]]
    return sorted(path for path in found if path.rsplit("/", 1)[-1] not in (LIST_FILE, LOCK_FILE))


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or what a command killed in its first moment leaves."""
    left = (LIST_FILE, LOCK_FILE)
    return all(path.name in left or PARTIAL.fullmatch(path.name) for path in folder.iterdir())


def check_place(folder: Path, kind: str, *, foreign: bool = False) -> None:
    """Raises OutputError unless edgegan may write a folder of this kind here: a new, an empty or its own one.

    `foreign`: it may also hold things of others, which stay.
    """
    title = LAYOUTS[kind].title
    if folder.is_symlink() and not (kind in BY_LINK and is_ours(folder, kind)):
        raise OutputError(f"{folder} is a link; name the folder itself with -o")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder; choose another with -o")
    found = read_list(folder)
    if (found is None or found[0] != kind) and os.path.lexists(folder / LIST_FILE):
        raise OutputError(
            f"{folder} was not written by edgegan as {title} ({LIST_FILE} in it lists something else); "
            "choose another with -o"
        )
    if not (foreign or is_ours(folder, kind) or is_empty(folder)):
        raise OutputError(
            f"{folder} was not written by edgegan (it is not {title}), so nothing in it is touched; "
            "choose another with -o"
        )


def check_apart(folder: Path, inputs: Iterable[Path]) -> None:
    """Raises OutputError when something that is read lies in a folder that is about to be replaced."""
    place = folder.resolve()
    for path in inputs:
        if path.resolve().is_relative_to(place) and path.exists():
            raise OutputError(
                f"{path} is read, and lies in {folder}, which --overwrite replaces; choose another with -o"
            )


@contextmanager
def held(
    folder: Path,
    kind: str,
    *,
    foreign: bool = False,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    wait_s: float = 0.0,
) -> Iterator[None]:
    """Holds a folder of this kind for writing, made where there is none; every file written below it is listed.

    `overwrite` removes what was listed before, once nothing of `inputs` lies in it and nobody writes there. Raises
    OutputError for a folder that is the user's, and while another edgegan writes it.
    """
    check_place(folder, kind, foreign=foreign)
    if overwrite:
        check_apart(folder, inputs)
    make_folder(folder)
    with folder_lock(folder, wait_s):
        check_place(folder, kind, foreign=foreign)
        if overwrite:
            clear(folder, kind)
        with listed_below(folder, kind) as journal:
            remove_leftovers(folder, journal)
            yield


@contextmanager
def listed_below(folder: Path, kind: str) -> Iterator[Journal]:
    """While it lasts, what this process writes below a folder of this kind is listed there."""
    journal = Journal(folder, kind, LAYOUTS[kind].working)
    found = read_list(folder)
    try:
        if found is None:
            journal.begin(owned_files(folder, kind))
    except OSError as error:
        raise refusal(folder / LIST_FILE, error) from error
    with listing(journal):
        yield journal


def clear(folder: Path, kind: str) -> None:
    """Removes what edgegan wrote in a folder that is held; what is the user's stays and is named."""
    with ExitStack() as stack:
        for inner, _ in inner_folders(folder, kind):
            if (inner / LOCK_FILE).exists():
                stack.enter_context(folder_lock(inner))
        remove_owned(folder, kind)
    for room in LAYOUTS[kind].rooms:
        for parent, _, _ in sorted(os.walk(folder / room), reverse=True):
            prune(folder, Path(parent).relative_to(folder).as_posix())
    name_kept(folder)
    begin_anew(folder, kind)


def begin_anew(folder: Path, kind: str) -> None:
    """An empty list in the place of a folder's: what is left in it does not make it another's."""
    if folder.exists():
        Journal(folder, kind).begin({})


def name_kept(folder: Path) -> None:
    """Says which files stay."""
    left = walk(folder)
    if left:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        say(f"kept in {folder}, not edgegan's: {', '.join(left[:SHOWN])}{more}", always=True)


def discard(folder: Path, kind: str) -> None:
    """Removes a folder of ours whole, its lock too; what is the user's stays, and all while another writes it."""
    with contextlib.suppress(OutputError), folder_lock(folder):
        clear(folder, kind)
        if not walk(folder):
            remove_emptied(folder)


def remove_whole(folder: Path, kind: str) -> None:
    """Removes a folder of ours inside one that is held; what is the user's in it stays and is named."""
    remove_owned(folder, kind)
    remove_emptied(folder)
    if folder.exists():
        name_kept(folder)
        begin_anew(folder, kind)


def discard_listed(path: Path) -> None:
    """Removes a file below a folder that is held, where it is listed and unchanged."""
    journal, root, parts = place(path)
    name = "/".join(parts)
    if journal is not None and journal.lists(name):
        remove_file(root, name, journal.files[name])


def remove_emptied(folder: Path) -> None:
    """Removes a folder that holds at most its list and its lock."""
    with contextlib.suppress(OSError), Folder(folder.parent) as parent:
        with parent.enter(folder.name) as opened:
            if set(opened.names()) <= {LIST_FILE, LOCK_FILE}:
                for name in opened.names():
                    opened.remove(name)
        parent.remove_empty(folder.name)


def inner_folders(folder: Path, kind: str) -> list[tuple[Path, str]]:
    """Folders of ours in a folder of ours, those behind links left out, deepest last."""
    found = []
    for pattern, inner in LAYOUTS[kind].inside:
        for path in sorted(folder.glob(pattern)):
            between = [path, *path.parents][: len(Path(pattern).parts)]
            plain = path.is_dir() and not any(each.is_symlink() for each in between)
            if plain and (is_ours(path, inner) or LAYOUTS[inner].proof):
                found += [(path, inner), *inner_folders(path, inner)]
    return found


def remove_owned(folder: Path, kind: str) -> None:
    """Removes the listed files of a folder and of those inside, deepest first; a folder's manifest goes last."""
    for inner, its in reversed(inner_folders(folder, kind)):
        remove_files(inner, its)
        remove_emptied(inner)
        begin_anew(inner, its)
    remove_files(folder, kind)


def remove_files(folder: Path, kind: str) -> None:
    """Removes the listed files of one folder, and folders that this leaves empty."""
    files, manifest = owned_files(folder, kind), LAYOUTS[kind].manifest
    for path in sorted(files, key=lambda path: (path == manifest, path)):
        remove_file(folder, path, files[path])
    for path in {path.rsplit("/", 1)[0] for path in files if "/" in path}:
        prune(folder, path)


def prune(folder: Path, path: str) -> None:
    """Removes a folder below and those around it, as far as they hold nothing."""
    parts = path.split("/")
    while parts:
        try:
            with entered(folder, parts[:-1]) as parent:
                if not parent.remove_empty(parts.pop()):
                    return
        except OSError:
            return


def remove_file(folder: Path, path: str, hashes: set[str] | None) -> None:
    """Removes one listed file, never through a link; one that has another hash than listed is set aside."""
    *parts, name = path.split("/")
    try:
        with entered(folder, parts) as inner:
            mode = inner.mode(name)
            partial = inner.mode(partial_name(name))
            if partial:
                discard_stale(inner, partial_name(name))
            if stat.S_ISREG(mode) and hashes and hash_of(inner, name) not in hashes:
                set_aside(inner, name)
            elif mode and not stat.S_ISDIR(mode):
                inner.remove(name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise OutputError(
                f"cannot remove {folder / path}: {error.strerror}; choose another with -o"
            ) from error


def hash_of(folder: Folder, name: str) -> str:
    """Hex sha256 of a file that is no link."""
    digest = hashlib.sha256()
    with os.fdopen(folder.open(name, os.O_RDONLY), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def set_aside(folder: Folder, name: str) -> None:
    """Gives a file that the user changed a name of its own."""
    number, new = 1, f"{name}.kept"
    while folder.mode(new):
        number += 1
        new = f"{name}.kept{number}"
    folder.move(name, folder, new)
    say(f"{folder.path / name} was changed since edgegan wrote it: kept as {new}", always=True)


def remove_leftovers(folder: Path, journal: Journal) -> None:
    """Removes partial files and folders that a killed command left beside the listed ones."""
    inner = {tuple(path.split("/")[:-1]) for path in journal.files} | {()}
    for pattern, _ in LAYOUTS[journal.kind].inside:
        inner |= {tuple(p.relative_to(folder).parts[:-1]) for p in folder.glob(pattern)}
        inner.add(tuple(pattern.split("/")[:-1]) if "*" not in pattern.rsplit("/", 1)[0] else ())
    for parts in sorted(inner):
        with contextlib.suppress(OSError), entered(folder, parts) as place:
            for name in place.names():
                found = PARTIAL.fullmatch(name)
                paths = {"/".join([*parts, each]) for each in (found.groups() if found else ())}
                kinds = {inner_kind(journal.kind, path) for path in paths} - {None}
                if stat.S_ISDIR(place.mode(name)):
                    for its in kinds:
                        remove_partial_folder(place, name, str(its))
                elif paths & {*journal.files, LIST_FILE}:
                    discard_stale(place, name)


def inner_kind(kind: str, path: str) -> str | None:
    """The kind of a folder inside, None for what is none."""
    for pattern, inner in LAYOUTS[kind].inside:
        if fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/"):
            return inner
    return None


def remove_partial_folder(parent: Folder, name: str, kind: str) -> bool:
    """Removes an unfinished folder of ours that no living process writes; returns whether there is none now."""
    try:
        with parent.enter(name) as opened:
            if not take(opened.descriptor if opened.descriptor is not None else -1):
                return False
            folder = parent.path / name
            listed = owned_files(folder, kind)
            if read_list(folder) is None:  # of a version that kept no list
                listed |= {
                    path: None
                    for path in walk(folder)
                    if any(fnmatch.fnmatch(path, each) for each in LAYOUTS[kind].parts)
                }
            for path in listed:
                remove_file(folder, path, None)
            discard_stale(opened, partial_name(LIST_FILE))
            for path in {path.rsplit("/", 1)[0] for path in listed if "/" in path}:
                prune(folder, path)
        remove_emptied(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if not parent.mode(name):
        return True
    say(f"{folder} is not edgegan's alone: {', '.join(walk(folder)[:SHOWN])}", always=True)
    return False
