"""StarGAN: main.0, main.1 (InstanceNorm), main.3, main.6, main.9.main.0 ... main.15, main.18, main.21."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgegan.errors import CheckpointError
from edgegan.models.matching import (
    Imported,
    adopt,
    count_up,
    drop_statistics,
    find_norm,
    give_back,
    shape_of,
)
from edgegan.models.stargan.network import StarganSpec
from edgegan.weights import State

EXAMPLE = "StarGAN (main.0.weight, main.9.main.0.weight ...)"
FIRST_BLOCK = 9  # stem 0-2, halvings 3-5 and 6-8


def recognises(state: State) -> bool:
    """Whether these are its keys: a row of layers, and residual blocks that are rows too."""
    return f"main.{FIRST_BLOCK}.main.0.weight" in state and all(
        re.fullmatch(r"main\.\d+\.(main\.\d+\.)?\w+", key) for key in state
    )


def read(state: State, path: Path) -> Imported:
    """The attributes of what is made are not in the weights (`edgegan.models.readings.set_label`); zeros until then."""
    blocks = count_up(lambda index: f"main.{FIRST_BLOCK + index}.main.0.weight" in state)

    def width(place: int, axis: int = 0, inside: str = "") -> int:
        return int(shape_of(state, f"main.{place}.{inside}weight", path)[axis])

    up = FIRST_BLOCK + blocks
    entries, made = width(0, 1), width(up + 6)
    if entries < made:
        raise CheckpointError(
            f"{path}: 'main.0.weight' reads {entries} channels, fewer than the {made} of the picture; is it complete?"
        )
    changes: list[str] = []
    if f"main.{FIRST_BLOCK}.main.1.weight" in state:
        state = drop_statistics(state, changes)
    spec = StarganSpec(
        in_channels=made,
        out_channels=made,
        label=(0.0,) * (entries - made),
        stem=width(0),
        down=width(3),
        trunk=width(6),
        inner=tuple(width(FIRST_BLOCK + index, inside="main.0.") for index in range(blocks)),
        up=(width(up, 1), width(up + 3, 1)),
        norm=find_norm(state, "main.1"),
    )
    return adopt(
        Imported("stargan", spec, state, changes),
        namer(blocks),
        path,
        lambda own: own.endswith(".bias") and "norm" not in own,
    )


def write(imported: Imported) -> State:
    """The public state dict."""
    assert isinstance(imported.spec, StarganSpec)
    return give_back(imported, namer(len(imported.spec.inner)))


def namer(blocks: int) -> Callable[[str], str]:
    """Our key -> the public key."""
    up = FIRST_BLOCK + blocks
    places = {"stem": 0, "down1": 3, "down2": 6, "up1": up, "up2": up + 3, "head": up + 6}
    places |= {f"{name}_norm": place + 1 for name, place in places.items()}
    inner = {"conv1": 0, "norm1": 1, "conv2": 3, "norm2": 4}

    def to_public(own: str) -> str:
        module, leaf = own.rsplit(".", 1)
        if module in places:
            return f"main.{places[module]}.{leaf}"
        _, index, layer = module.split(".")
        return f"main.{FIRST_BLOCK + int(index)}.main.{inner[layer]}.{leaf}"

    return to_public
