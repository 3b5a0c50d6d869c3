"""docs/reference.md and the picture of the house are what their makers write; no row of a table is cut off."""

from __future__ import annotations

import re
import runpy

from support.commands import ROOT

from edgegan.cli import COMMANDS
from edgegan.recipe.loading import recipe_fields

REFERENCE = ROOT / "docs/reference.md"


def test_reference_is_up_to_date() -> None:
    """Otherwise: make reference."""
    made = runpy.run_path(str(ROOT / "docs/make_reference.py"))["reference"]()
    assert REFERENCE.read_text(encoding="utf-8") == made, "run make reference"


def test_reference_lists_every_recipe_key_and_command() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for key in recipe_fields():
        assert f"| `{key}` | " in text, key
    for command in COMMANDS:
        assert f"### edgegan {command}\n" in text, command


def test_rows_have_as_many_cells_as_their_table() -> None:
    """A bar in a description would end its cell: five keys have one, such as mean |output - target|."""
    cells = 0
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("| ---"):
            assert bars == cells
        elif line.startswith("|"):
            assert cells in (0, bars), line
        cells = bars if line.startswith("|") else 0


def test_picture_of_the_house_is_up_to_date() -> None:
    """Otherwise: make reference. Every folder of edgegan/ stands in it."""
    made = runpy.run_path(str(ROOT / "docs/make_house.py"))["house"]()
    assert (ROOT / "docs/pictures/house.svg").read_text(encoding="utf-8") == made, "make reference"
    rooms = {path.parent.name for path in (ROOT / "edgegan").glob("*/__init__.py")} - {"recipes"}
    assert not [room for room in rooms if f">{room}</text>" not in made]
