"""AnimeGANv2 in torch (animegan2-pytorch): block_a ... block_e, out_layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.matching import Imported, adopt, count_up, give_back, shape_of
from edgegan.weights import State

EXAMPLE = "AnimeGANv2 (block_a.0.1.weight ...)"
PLACES = {
    "stem": "block_a.0",
    "down1": "block_a.1",
    "at_half": "block_a.2",
    "down2": "block_b.0",
    "at_quarter.0": "block_b.1",
    "at_quarter.1": "block_c.0",
    "up1.1": "block_d.0",
    "up1.2": "block_d.1",
    "up2.1": "block_e.0",
    "up2.2": "block_e.1",
    "up2.3": "block_e.2",
}
INSIDE = {"conv": "1", "norm": "2"}


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return any(key.startswith("block_a.0.") for key in state)


def read(state: State, path: Path) -> Imported:
    """RGB in [-1, 1] already; bilinear doubling with corners aligned, as the public code does by default."""

    def width(place: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{place}.weight", path)[axis])

    blocks = count_up(lambda index: f"block_c.{index + 1}.layers.2.weight" in state)
    last = f"block_c.{blocks}.layers.2"
    spec = AnimeSpec(
        in_channels=width("block_a.0.1", 1),
        out_channels=width("out_layer.0"),
        stem=width("block_a.0.1"),
        half=(width("block_a.1.1"), width("block_a.2.1")),
        quarter=(width("block_b.0.1"), width("block_b.1.1"), width("block_c.0.1")),
        expanded=tuple(width(f"block_c.{index + 1}.layers.1.1") for index in range(max(1, blocks))),
        trunk=width(last),
        narrow=width(f"block_c.{blocks + 1}.1"),
        up1=(width("block_d.0.1"), width("block_d.1.1")),
        up2=(width("block_e.0.1"), width("block_e.1.1"), width("block_e.2.1")),
    )
    changes = [
        "corners of bilinear doublings aligned: assumed, the weights do not tell (--corners centred, as the public "
        "script has it unless told)"
    ]
    return adopt(Imported("animegan", spec, state, changes), namer(blocks), path)


def write(imported: Imported) -> State:
    """The public state dict."""
    assert isinstance(imported.spec, AnimeSpec)
    return give_back(imported, namer(len(imported.spec.expanded)))


def namer(blocks: int) -> Callable[[str], str]:
    """Our key -> the public key."""
    places = {**PLACES, "narrow": f"block_c.{blocks + 1}"}

    def to_public(own: str) -> str:
        module, leaf = own.rsplit(".", 1)
        if module == "head":
            return f"out_layer.0.{leaf}"
        outer, _, inside = module.rpartition(".")
        if outer in places:
            return f"{places[outer]}.{INSIDE[inside]}.{leaf}"
        _, index, layer, *part = module.split(".")
        prefix = f"block_c.{int(index) + 1}.layers"
        if layer in ("widen", "depthwise"):
            return f"{prefix}.{('widen', 'depthwise').index(layer)}.{INSIDE[part[0]]}.{leaf}"
        return f"{prefix}.{ {'narrow': 2, 'norm': 3}[layer] }.{leaf}"

    return to_public
