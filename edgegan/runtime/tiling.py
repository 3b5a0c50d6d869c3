"""A picture of any size through a network of one: overlapping tiles, blended, a band of rows in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Call = Callable[[Floats], Floats]
Read = Callable[[slice, slice], Floats]

OVERLAP = 0.25
SAME = Fraction(1)


def reflect_to(x: Floats, height: int, width: int) -> Floats:
    """Extends (C, H, W) at the bottom and right by reflection to at least this size."""
    down, right = max(0, height - x.shape[1]), max(0, width - x.shape[2])
    return np.ascontiguousarray(np.pad(x, ((0, 0), (0, down), (0, right)), mode="reflect"))


def starts(length: int, tile: int, step: int = 1) -> list[int]:
    """Where tiles begin, at multiples of `step`, so that they cover `length` and overlap by at least a quarter."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // int(tile * (1 - OVERLAP))) + 1
    exact = [round(index * (length - tile) / (count - 1)) for index in range(count)]
    return [*(start // step * step for start in exact[:-1]), -(-exact[-1] // step) * step]


def ramp(length: int) -> Floats:
    """Blending weights along a tile's side: low at the ends, one in the middle, never zero."""
    edge = max(1, int(length * OVERLAP))
    position = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1, position / edge).astype(np.float32)


def enlarged(length: int, ratio: Fraction) -> int:
    """A side of what is made of a picture with this side."""
    return math.ceil(length * ratio)


def tiled(call: Call, x: Floats, tile: tuple[int, int], ratio: Fraction = SAME) -> Floats:
    """Covers the picture (C, H, W) with overlapping tiles and blends what comes out; `ratio` as in `tiled_bands`."""
    bands = tiled_bands(call, lambda rows, columns: x[:, rows, columns], x.shape[1:], tile, ratio)
    return np.concatenate([band for _, band in bands], axis=1)


def tiled_bands(
    call: Call, read: Read, size: tuple[int, ...], tile: tuple[int, int], ratio: Fraction = SAME
) -> Iterator[tuple[int, Floats]]:
    """The same band by band from top to bottom: the number of the first row, and the finished rows (C, h, W).

    `read` gives a part (C, h, w) of the picture of this height and width; no more of it than a tile is asked for.
    `ratio` is that of sides of what `call` makes to those of what it takes; rows and sides of bands are of what it
    makes.
    """
    height, width = size
    out = partial(enlarged, ratio=ratio)
    weight = np.outer(ramp(out(tile[0])), ramp(out(tile[1])))
    total: Floats | None = None
    weights = np.zeros((out(min(height, tile[0])), out(width)), np.float32)
    tops = starts(height, tile[0], ratio.denominator)
    for top, following in zip(tops, [*tops[1:], height], strict=True):
        for left in starts(width, tile[1], ratio.denominator):
            part = read(slice(top, top + tile[0]), slice(left, left + tile[1]))
            tall, wide = map(out, part.shape[1:])  # smaller than a tile where the picture is
            made = call(reflect_to(part, *tile))[:, :tall, :wide]
            if total is None:
                total = np.zeros((made.shape[0], *weights.shape), np.float32)
            place = slice(out(left), out(left) + wide)
            total[:, :tall, place] += made * weight[:tall, :wide]
            weights[:tall, place] += weight[:tall, :wide]
        assert total is not None
        done = out(following) - out(top)
        yield out(top), total[:, :done] / weights[:done]
        for sums in (total, weights[None]):  # the next band begins where this one is not finished
            sums[:, : sums.shape[1] - done] = sums[:, done:].copy()
            sums[:, sums.shape[1] - done :] = 0
