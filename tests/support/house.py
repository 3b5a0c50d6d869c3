"""The house as files: every module of the package by the name it is imported by."""

from __future__ import annotations

from pathlib import Path

from support.commands import ROOT

FOLDERS = {"edgegan": "edgegan", "export": "edgegan.export", "benchmarks": "edgegan.benchmarks"}


def modules() -> dict[str, Path]:
    """Every module of the wheel by its imported name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            if "studies" not in parts:
                found[".".join(part for part in parts if part != "__init__")] = path
    return found
