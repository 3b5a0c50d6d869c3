"""The further inputs of a generator that takes several: read beside the first, they are channels of one array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgegan.data.images import SUFFIXES, Floats, Pixels, to_float
from edgegan.errors import InputError


def check_beside(wanted: int, given: int) -> None:
    """Raises InputError where a generator takes another number of inputs than pictures are given for one."""
    if wanted != 1 + given:
        raise InputError(
            f"pictures of {1 + given} inputs are given and the generator takes {wanted}: name {wanted - 1} folders of "
            "further ones with --beside FOLDER (data.beside in a recipe), in the order of import"
        )


def join_inputs(
    pictures: Sequence[Pixels], channels: Sequence[int], path: Path | None = None
) -> Floats:
    """Pictures (H, W, 3) of one input as one array (sum of channels, H, W) in [-1, 1]; raises InputError where sizes
    differ, naming the first's `path`, or a number of channels is not 1 or 3."""
    sizes = {each.shape[:2] for each in pictures}
    if len(sizes) > 1:
        told = " and ".join(f"{height}x{width}" for height, width in sorted(sizes))
        where = f"{path}: " if path is not None else ""
        raise InputError(
            f"{where}inputs that belong together have sides of {told}; scale them to one"
        )
    if len(pictures) == 1:
        return to_float(pictures[0], channels[0])
    return np.concatenate(
        [to_float(each, number) for each, number in zip(pictures, channels, strict=True)]
    )


def find_beside(path: Path, name: Path, beside: Sequence[Path]) -> list[Path]:
    """What belongs to a picture: the files of its `name` inside other folders, whatever their suffix, and files that
    are given for all; raises InputError naming the first that is missing."""
    return [each if each.is_file() else same_name(path, name, each) for each in beside]


def same_name(path: Path, name: Path, folder: Path) -> Path:
    """The picture of this name in a folder."""
    found = [folder / name.with_suffix(suffix) for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
    existing = next((each for each in found if each.is_file()), None)
    if existing is None:
        raise InputError(
            f"{folder} has no picture named {name.with_suffix('')}, which belongs to {path}"
        )
    return existing
