"""Where converters work: a hidden folder in the export's, which goes when they are done, or with the next export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgegan.ownership.descriptors import Folder
from edgegan.ownership.journal import LIST_FILE, Journal, listing, read_list

PREFIX = ".convert-"
KIND = "scratch"  # of a folder that is ours with all that is in it


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder below one that is held."""
    work = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    try:
        Journal(work, KIND).begin({})
        with listing(Journal(work, KIND)):
            yield work
    finally:
        remove_with_list(work)


def remove_scratch(folder: Path) -> None:
    """Removes what killed exports left; no link is followed."""
    for path in folder.glob(f"{PREFIX}*"):
        found = None if path.is_symlink() else read_list(path)
        if found is not None and found[0] == KIND:
            remove_with_list(path)
        elif not path.is_symlink():
            with suppress(OSError), Folder(folder) as opened:
                opened.remove_empty(path.name)


def remove_with_list(work: Path) -> None:
    """Removes such a folder, its list last: killed on the way, it is still known to be ours."""
    with suppress(OSError):
        for path in work.iterdir():
            if path.name == LIST_FILE:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        shutil.rmtree(work, ignore_errors=True)
