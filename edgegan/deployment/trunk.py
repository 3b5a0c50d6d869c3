"""The trunk of a generator: where most of its work is done, and where int8 pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHARE: Final = 4


def trunk_size(macs: Mapping[int, int], total: int | None = None) -> int:
    """The smallest size at which a quarter of the multiply-adds is done; the largest where none has so many.

    `macs` are the multiply-adds by size: pixels of the outputs, or of their rows. `total` is that of the whole net,
    where `macs` leaves some out.
    """
    whole = sum(macs.values()) if total is None else total
    found = (size for size in sorted(macs) if macs[size] >= whole / SHARE)
    return next(found, max(macs, default=0))
