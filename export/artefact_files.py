"""Artefacts on disk, each a file or a folder: copied, moved and removed whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgegan.ownership.descriptors import Folder


def remove_artefact(path: Path) -> None:
    """Removes an artefact, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copy_artefact(source: Path, path: Path) -> None:
    """Copies an artefact to a path that has none."""
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copyfile(source, path)


def move_artefact(source: Path, path: Path) -> None:
    """Puts an artefact in the place of another on the same disk; a file at once, a folder after the old one is gone."""
    files = [each for each in source.rglob("*") if each.is_file()] if source.is_dir() else [source]
    for each in files:
        with each.open("rb+") as file:
            os.fsync(file.fileno())
    if source.is_dir():
        remove_artefact(path)
    source.replace(path)
    with Folder(path.parent) as folder:
        folder.sync()
