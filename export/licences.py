"""Licence texts that travel with a bundle."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from edgegan.artefact import ModelManifest
from edgegan.files import write_atomic


def write(path: Path, model: ModelManifest) -> None:
    """A text for one model: what it is, its licence, and what is unknown."""
    lines = [
        f"{model.title} ({model.family}, {model.role}, {model.precision})",
        f"sha256 of the file: {model.sha256}",
        "",
        f"Licence: {model.licence}",
        "",
        "The pictures in samples/ and golden/ come from the validation pictures of the run and keep their licence.",
    ]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def apache() -> bytes:
    """The text of the Apache License 2.0."""
    return (importlib.resources.files("edgegan.export.web") / "Apache-2.0.txt").read_bytes()
