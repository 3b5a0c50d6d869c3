"""U-Net generators of pytorch-CycleGAN-and-pix2pix, whose levels are nested: model.model.1.model.3.model ..."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgegan.errors import CheckpointError
from edgegan.models.blocks import FamilyNorm
from edgegan.models.matching import (
    Imported,
    adopt,
    count_up,
    drop_statistics,
    find_norm,
    give_back,
    shape_of,
)
from edgegan.models.unet.network import UnetSpec
from edgegan.weights import State

EXAMPLE = "pix2pix U-Nets (model.model.0.weight ...)"


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return any(key.startswith("model.model.1.model.") for key in state)


def level_prefix(level: int) -> str:
    """Where the layers of a level stand; level 0 is the outermost."""
    return "model.model." + "1.model." * min(level, 1) + "3.model." * max(0, level - 1)


def read(state: State, path: Path) -> Imported:
    """Any number of levels; old running statistics of InstanceNorm layers are dropped."""
    changes: list[str] = []
    depth = 1 + count_up(lambda index: f"{level_prefix(index + 1)}1.weight" in state)
    if depth < 3:
        raise CheckpointError(
            f"{path}: missing key '{level_prefix(depth)}1.weight': a U-Net has three levels or more"
        )
    norm: FamilyNorm = find_norm(state, f"{level_prefix(1)}2")
    if norm == "instance" and f"{level_prefix(1)}1.bias" not in state:
        norm = "none"
    if norm != "batch":
        state = drop_statistics(state, changes)

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    changes.append("tanh at the end assumed (the weights do not tell; --activation clamp)")
    name = namer(depth)
    spec = UnetSpec(
        in_channels=width("model.model.0", 1),
        out_channels=width("model.model.3", 1),
        down=tuple(width(name(f"down.{level}.x")[:-2]) for level in range(depth)),
        up=tuple(width(name(f"up.{index}.x")[:-2], 1) for index in range(depth - 1)),
        norm=norm,
    )
    return adopt(
        Imported("unet", spec, state, changes),
        name,
        path,
        lambda own: norm == "none" and own.endswith(".bias") and not own.startswith("head"),
    )


def write(imported: Imported) -> State:
    """The public state dict."""
    assert isinstance(imported.spec, UnetSpec)
    return give_back(imported, namer(len(imported.spec.down)))


def namer(depth: int) -> Callable[[str], str]:
    """Our key -> the public key. Inner levels hold LeakyReLU 0, convolution 1, norm 2, the next level 3, ReLU 4,
    transposed convolution 5, norm 6; the innermost has no norm on its way down and nothing inside."""

    def to_public(own: str) -> str:
        layer, *index, leaf = own.split(".")
        if layer == "head":
            return f"model.model.3.{leaf}"
        number = int(index[0])
        if layer.startswith("down"):
            place = 2 if layer == "down_norm" else 1 if number else 0
            return f"{level_prefix(number)}{place}.{leaf}"
        place = (3 if number == 0 else 5) + (layer == "up_norm")
        return f"{level_prefix(depth - 1 - number)}{place}.{leaf}"

    return to_public
