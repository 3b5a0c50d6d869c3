"""Folders that public test scripts write: a_real_A.png, a_fake_B.png, a_real_B.png beside one another."""

from __future__ import annotations

import re
from pathlib import Path

from edgegan.console import say
from edgegan.data.images import list_images

ENDING = re.compile(r"_(fake|real|rec)(_[AB])?$|_(input_label|synthesized_image|real_image)$")
MADE = ("_fake_B", "_fake", "_synthesized_image", "_fake_A")  # the first that is there
INPUTS = ("_real_A", "_input_label")
TRUE = ("_real_B", "_real_image", "_real")
ROUND = "_rec_A"  # of CycleGAN's results, whose two domains have no partners


def without_ending(name: str) -> str:
    """A name without what says which picture of a result it is."""
    return ENDING.sub("", name)


def by_ending(files: list[Path]) -> dict[str, list[Path]]:
    """The files of a folder by the endings of results; '' for those without."""
    found: dict[str, list[Path]] = {}
    for path in files:
        match = ENDING.search(path.stem)
        found.setdefault(match[0] if match else "", []).append(path)
    return found


def first_of(kinds: dict[str, list[Path]], endings: tuple[str, ...]) -> str | None:
    """The first of these endings that a folder has."""
    return next((ending for ending in endings if ending in kinds), None)


def made_alone(files: list[Path], folder: Path) -> list[Path]:
    """Of results of several kinds in one folder those that were made; other folders as they are."""
    kinds = by_ending(files)
    made = first_of(kinds, MADE)
    if made is None or len(kinds) == 1 or "" in kinds:
        return files
    say(f"of {folder} the {len(kinds[made])} files *{made} are taken")
    return kinds[made]


def made_and_true(files: list[Path], folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures that were made and true ones of one folder of results; those of any other folder twice."""
    kinds = by_ending(files)
    made, true = first_of(kinds, MADE), first_of(kinds, TRUE)
    if made is None or true is None:
        return files, files
    say(f"of {folder} the files *{made} are compared with *{true}")
    return kinds[made], kinds[true]


def compared(first: Path, second: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of two folders that are compared: of results those that were made, of one folder twice made and
    true ones; none of a file."""
    if first.resolve() == second.resolve():
        return made_and_true(list_images(first), first)
    files = made_alone(list_images(first), first)
    return files, [] if second.is_file() else made_alone(list_images(second), second)


def pairs_inside(files: list[Path], folder: Path) -> tuple[list[Path], list[Path]] | None:
    """Inputs and targets in one folder of results: true targets where they are the inputs' partners, else those made.
    None for any other folder."""
    kinds = by_ending(files)
    inputs = first_of(kinds, INPUTS)
    target = first_of(kinds, MADE if ROUND in kinds else (*TRUE, *MADE))
    if inputs is None or target is None:
        return None
    say(f"pairs in {folder}: *{inputs} and *{target}")
    return kinds[inputs], kinds[target]
