"""Label maps as channels: one-hot classes, and the borders between instances. numpy only, so that boards can use it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgegan.data.images import Floats
from edgegan.errors import InputError


def one_hot(labels: NDArray[np.integer], classes: int) -> Floats:
    """(H, W) class numbers -> (classes, H, W) float32, 1 where the pixel is of the class.

    Raises InputError when a number is not between 0 and `classes` - 1.
    """
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
