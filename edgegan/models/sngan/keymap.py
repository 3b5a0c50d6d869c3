"""SNGAN ResNet-32 generators of sngan.pytorch (and mimicry, which uses the same names): l1, block2 ..., b5, c5."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from edgegan.errors import CheckpointError
from edgegan.models.matching import Imported, adopt, count_up, give_back, shape_of
from edgegan.models.sngan.network import SnganSpec
from edgegan.weights import State

EXAMPLE = "SNGAN (l1.weight, block2.c1.weight ...)"
INSIDE = {"norm1": "b1", "conv1": "c1", "norm2": "b2", "conv2": "c2", "shortcut": "c_sc"}


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "l1.weight" in state and any(key.startswith("block2.c1.") for key in state)


def read(state: State, path: Path) -> Imported:
    """Any number of doubling blocks; the height of the first map follows from the Linear layer."""

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    blocks = count_up(lambda index: f"block{index + 2}.c1.weight" in state)
    if not blocks:
        raise CheckpointError(f"{path}: missing key 'block2.c1.weight'; is the file complete?")
    rows, latent = shape_of(state, "l1.weight", path, dims=2)
    stem = width("block2.c1", 1)
    bottom = math.isqrt(rows // stem)
    if bottom**2 * stem != rows:
        raise CheckpointError(
            f"{path}: 'l1.weight' has {rows} rows, not a square map of the {stem} channels that "
            "'block2.c1.weight' takes; is the file complete?"
        )
    spec = SnganSpec(
        latent=latent,
        out_channels=width(f"c{blocks + 2}"),
        bottom=bottom,
        stem=stem,
        width=tuple(width(f"block{index + 2}.c2") for index in range(blocks)),
        inner=tuple(width(f"block{index + 2}.c1") for index in range(blocks)),
    )
    return adopt(Imported("sngan", spec, state), namer(blocks), path)


def write(imported: Imported) -> State:
    """The public state dict."""
    assert isinstance(imported.spec, SnganSpec)
    return give_back(imported, namer(len(imported.spec.width)))


def namer(blocks: int) -> Callable[[str], str]:
    """Our key -> the public key."""
    fixed = {"linear": "l1", "head_norm": f"b{blocks + 2}", "head": f"c{blocks + 2}"}

    def to_public(own: str) -> str:
        first, *rest, leaf = own.split(".")
        if first in fixed:
            return f"{fixed[first]}.{leaf}"
        return f"block{int(rest[0]) + 2}.{INSIDE[rest[1]]}.{leaf}"

    return to_public
