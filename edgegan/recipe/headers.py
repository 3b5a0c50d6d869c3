"""Headers of shipped recipes: the comment they open with, read as fields for `edgegan recipes`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from edgegan.errors import ConfigError, nearest
from edgegan.recipe.loading import shipped_recipes

FIELDS = ("Reproduces", "Rows", "Data", "Hardware", "Time", "Expected")
REQUIRED = ("Reproduces", "Hardware", "Time", "Expected")


@dataclass(frozen=True)
class Header:
    """A shipped recipe: its name, its description, the fields of its opening comment, and other words of it."""

    name: str
    description: str
    fields: dict[str, str]
    notes: str
    text: str


def read_header(path: Path) -> Header:
    """The comment at the top of a recipe: `# Field: words`, continued on further lines until the next field."""
    text = path.read_text(encoding="utf-8")
    fields: dict[str, str] = {}
    notes: list[str] = []
    current: str | None = None
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        found = re.match(rf"({'|'.join(FIELDS)}): *(.*)", words)
        if found:
            current = found[1]
            fields[current] = found[2]
        elif current is not None:
            fields[current] = f"{fields[current]} {words}".strip()
        else:
            notes.append(words)
    description = str((yaml.safe_load(text) or {}).get("description", ""))
    return Header(path.stem, description, fields, " ".join(notes), text)


def find_header(name: str) -> Header:
    """A shipped recipe's header by name; raises ConfigError with the nearest name."""
    shipped = shipped_recipes()
    if name not in shipped:
        raise ConfigError(
            f"no recipe '{name}'{nearest(name, shipped)}; shipped: {', '.join(shipped)}"
        )
    return read_header(shipped[name])


def all_headers() -> list[Header]:
    """Every shipped recipe, by name."""
    return [read_header(path) for path in shipped_recipes().values()]
