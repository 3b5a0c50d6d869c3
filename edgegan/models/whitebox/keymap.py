"""White-box-Cartoonization-PyTorch: initial_down.0, down1.0, down1.2, res_blocks.0.block.0, up1.0, up2.2, last.2."""

from __future__ import annotations

from pathlib import Path

from edgegan.models.matching import Imported, adopt, count_up, give_back, shape_of
from edgegan.models.whitebox.network import WhiteboxSpec
from edgegan.weights import State

EXAMPLE = "white-box cartoonisation (initial_down.0.weight, res_blocks.0.block.0.weight ...)"
PLACES = {
    "stem": "initial_down.0",
    "halve1": "down1.0",
    "wide1": "down1.2",
    "halve2": "down2.0",
    "wide2": "down2.2",
    "narrow": "up1.0",
    "refine": "up2.0",
    "join": "up2.2",
    "last": "last.0",
    "head": "last.2",
}
INSIDE = {"conv1": 0, "conv2": 2}


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "initial_down.0.weight" in state and "up2.2.weight" in state


def read(state: State, path: Path) -> Imported:
    """The generator alone: the public script applies tanh a second time and smooths by the input."""

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    blocks = count_up(lambda index: f"res_blocks.{index}.block.0.weight" in state)
    spec = WhiteboxSpec(
        in_channels=width("initial_down.0", 1),
        out_channels=width("last.2"),
        stem=width("initial_down.0"),
        halved=(width("down1.0"), width("down2.0")),
        half=width("down1.2"),
        trunk=width("down2.2"),
        inner=tuple(width(f"res_blocks.{index}.block.0") for index in range(blocks)),
        refined=width("up2.0"),
        last=width("last.0"),
    )
    changes = [
        "zero padding assumed (the weights do not tell; --padding)",
        "bilinear doublings at pixel centres assumed (the weights do not tell; --corners aligned)",
        "the generator alone: the second tanh and the guided filter of the public script are left out",
    ]
    return adopt(Imported("whitebox", spec, state, changes), to_public, path)


def write(imported: Imported) -> State:
    """The public state dict."""
    return give_back(imported, to_public)


def to_public(own: str) -> str:
    """Our key -> the public key."""
    part, *inside, leaf = own.split(".")
    if part == "blocks":
        return f"res_blocks.{inside[0]}.block.{INSIDE[inside[1]]}.{leaf}"
    return f"{PLACES[part]}.{leaf}"
