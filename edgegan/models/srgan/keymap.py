"""Fast-SRGAN (PyTorch): neck.0, stem.0.conv1, bottleneck.0, upsampling.0.conv, head.0; InstanceNorm without weights, or
BatchNorm."""

from __future__ import annotations

from pathlib import Path

from edgegan.models.matching import (
    Imported,
    adopt,
    count_up,
    find_norm,
    give_back,
    shape_of,
)
from edgegan.models.srgan.network import SrganSpec
from edgegan.weights import State

EXAMPLE = "Fast-SRGAN (neck.0.weight, upsampling.0.conv.weight ...)"
MODULES = {
    "neck": "neck.0",
    "neck_prelu": "neck.1",
    "bottleneck": "bottleneck.0",
    "bottleneck_norm": "bottleneck.1",
    "head": "head.0",
}
LAYERS = {"norm1": "bn1", "norm2": "bn2", "prelu": "relu1"}


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "neck.0.weight" in state and "upsampling.0.conv.weight" in state


def read(state: State, path: Path) -> Imported:
    """Pictures are in [-1, 1] there too."""

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    blocks = count_up(lambda index: f"stem.{index}.conv1.weight" in state)
    doublings = count_up(lambda index: f"upsampling.{index}.conv.weight" in state)
    spec = SrganSpec(
        in_channels=width("neck.0", 1),
        out_channels=width("head.0"),
        trunk=width("neck.0"),
        inner=tuple(width(f"stem.{index}.conv1") for index in range(blocks)),
        up=tuple(width(f"upsampling.{index}.conv") // 4 for index in range(doublings)),
        norm=find_norm(state, "bottleneck.1"),
    )
    return adopt(Imported("srgan", spec, state), to_public, path)


def write(imported: Imported) -> State:
    """The public state dict."""
    return give_back(imported, to_public)


def to_public(own: str) -> str:
    """Our key -> the public key."""
    module, leaf = own.rsplit(".", 1)
    if module in MODULES:
        return f"{MODULES[module]}.{leaf}"
    part, index, layer = module.split(".", 2)
    if part == "up":
        return f"upsampling.{index}.{'relu' if layer == 'prelu' else layer}.{leaf}"
    return f"stem.{index}.{LAYERS.get(layer, layer)}.{leaf}"
