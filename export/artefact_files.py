"""Artefacts on disk, each a file or a folder: copied, moved and removed whole."""

from __future__ import annotations

import shutil
from pathlib import Path


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
    if source.is_dir():
        remove_artefact(path)
    source.replace(path)
