"""Channels that pictures do not have: Lab colour where it is stated, and what becomes of any other number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgegan.errors import ConfigError
from edgegan.models.matching import Imported
from edgegan.package import ImageIO

PICTURES = (1, 3)


def set_colour(imported: Imported, colour: str, path: Path) -> Imported:
    """A ResNet or U-Net from lightness to a and b that takes and makes RGB; raises ConfigError for any other."""
    spec = imported.spec
    ends = spec.in_channels, spec.out_channels
    if colour != "lab" or "colour" not in type(spec).model_fields or ends != (1, 2):
        raise ConfigError(
            f"--colour {colour}: {path} is of family {imported.family} with {ends[0]} channels in and {ends[1]} out; "
            "only lab goes without --generator, with a resnet or unet of 1 in (lightness) and 2 out (a and b)"
        )
    update = {"colour": "lab", "in_channels": 3, "out_channels": 3}
    note = "lightness in and a, b out as given: RGB outside, L / 50 - 1 and a, b / 110 inside"
    changes = [*imported.changes, note]
    return replace(imported, spec=spec.model_copy(update=update), changes=changes)


def note_channels(imported: Imported) -> Imported:
    """Says what becomes of numbers of channels that pictures do not have."""
    spec, notes = imported.spec, []
    if isinstance(spec.takes, ImageIO) and spec.in_channels not in PICTURES:
        notes.append(
            f"it takes {spec.in_channels} channels, and pictures have 3 or 1: it is exported and measured, and cannot "
            "be fed with pictures"
        )
    if spec.out_channels not in PICTURES:
        lab = spec.in_channels == 1 and spec.out_channels == 2
        hint = " (--colour lab where they are a and b of lightness)" if lab else ""
        notes.append(f"it makes {spec.out_channels} channels, which are no picture{hint}")
    return replace(imported, changes=[*imported.changes, *notes])
