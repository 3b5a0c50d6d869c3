"""Label maps: index pictures in, one-hot classes and the borders between instances out. numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgegan.contracts.bounds import MOST_VALUES
from edgegan.data.images import Floats, opened
from edgegan.errors import InputError

Labels = NDArray[np.int64]
MOST_LABELS = 2**24
LOSSY = ("JPEG", "MPO", "JPEG2000")


def read_labels(path: Path) -> Labels:
    """Decodes an index picture to (H, W) numbers: grey, palette (the index, not the colour), 16-bit or bilevel.

    EXIF rotation is applied. Raises InputError naming the file when it is missing, damaged, in colour or lossy.
    """
    with opened(path, "label map") as image:
        if image.format in LOSSY:
            raise InputError(
                f"label map {path} is a {image.format}, which blurs class numbers; save it as PNG"
            )
        if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            raise InputError(
                f"label map {path} has mode {image.mode}; class numbers need one channel: a grey, "
                "palette or 16-bit PNG"
            )
        if image.width * image.height > MOST_LABELS:
            raise InputError(
                f"label map {path} has {image.width}x{image.height} pixels, more than {MOST_LABELS // 10**6} million; "
                "scale it down first"
            )
        image.load()
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.int64)


def check_labels(
    labels: Labels, classes: int, unlabelled: int | None, names: Sequence[str], path: Path
) -> Labels:
    """Numbers as the generator knows them: `unlabelled` becomes class number `classes`.

    Raises InputError naming the file and the class that is not between 0 and `classes` - 1.
    """
    known = (labels >= 0) & (labels < classes)
    if unlabelled is not None:
        missing = labels == unlabelled
        known |= missing
        labels = np.where(missing, classes, labels)
    if not known.all():
        wrong = int(labels[~known].flat[0])
        last = f" ({names[-1]})" if names else ""
        raise InputError(
            f"label map {path} holds class {wrong}, but data.classes is {classes}: 0 to "
            f"{classes - 1}{last}; correct data.classes, or set data.unlabelled={wrong}"
        )
    return labels


def one_hot(labels: NDArray[np.integer], classes: int) -> Floats:
    """(H, W) class numbers -> (classes, H, W) float32, 1 where the pixel is of the class.

    Raises InputError when a number is not between 0 and `classes` - 1, or when there are too many values.
    """
    if labels.size * classes > MOST_VALUES:
        raise InputError(
            f"{labels.size:,} pixels of {classes} classes are more than {MOST_VALUES:,} values; scale the map down"
        )
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise InputError(
            f"label map holds class {wrong}, the generator knows 0 to {classes - 1}; renumber the "
            "labels, or give unknown ones a class of their own"
        )
    return (labels[None] == np.arange(classes)[:, None, None]).astype(np.float32)


def find_edges(instances: NDArray[np.integer]) -> Floats:
    """(H, W) instance numbers -> (H, W) float32, 1 on both sides of every border between two instances."""
    edges = np.zeros(instances.shape, dtype=bool)
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges.astype(np.float32)


def colour_labels(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(H, W) class numbers -> (H, W, 3) uint8 in colours far apart, to look at."""
    hues = np.asarray(labels, np.int64) * 137 % 360  # the golden angle: neighbours differ most
    bright = 255 - 45 * (np.asarray(labels, np.int64) // 8 % 3)
    hsv = np.stack([hues * 255 // 360, np.full_like(hues, 170), bright], axis=-1)
    return np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")).copy()
