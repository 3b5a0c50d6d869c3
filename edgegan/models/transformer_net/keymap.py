"""Fast style transfer nets of pytorch/examples: conv1.conv2d, in1, res1.conv1.conv2d, deconv1.conv2d."""

from __future__ import annotations

from pathlib import Path

import torch

from edgegan.models.matching import (
    Imported,
    adopt,
    count_up,
    drop_statistics,
    give_back,
    shape_of,
)
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.weights import State

EXAMPLE = "fast style transfer nets (conv1.conv2d.weight ...)"
CONVS = {
    "stem": "conv1",
    "down1": "conv2",
    "down2": "conv3",
    "up1": "deconv1",
    "up2": "deconv2",
    "head": "deconv3",
}
NORMS = {
    "stem_norm": "in1",
    "down1_norm": "in2",
    "down2_norm": "in3",
    "up1_norm": "in4",
    "up2_norm": "in5",
}
HALF = 127.5


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "conv1.conv2d.weight" in state or "deconv1.conv2d.weight" in state


def read(state: State, path: Path) -> Imported:
    """Values 0..255 become [-1, 1] inside the first and last convolution: exact, since the padding reflects."""
    changes: list[str] = []
    state = drop_statistics(state, changes)

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.conv2d.weight", path)[axis])

    blocks = count_up(lambda index: f"res{index + 1}.conv1.conv2d.weight" in state)
    spec = TransformerSpec(
        in_channels=width("conv1", 1),
        out_channels=width("deconv3"),
        stem=width("conv1"),
        down=width("conv2"),
        trunk=width("conv3"),
        inner=tuple(width(f"res{index + 1}.conv1") for index in range(blocks)),
        up=(width("deconv1"), width("deconv2")),
    )
    imported = adopt(Imported("transformer_net", spec, state, changes), to_public, path)
    imported.state.update(fold_range(imported.state))
    changes.append("values 0..255 folded into the first and last convolution (exact): now [-1, 1]")
    return imported


def write(imported: Imported) -> State:
    """The public state dict, for values 0..255 again."""
    state = {**imported.state, **unfold_range(imported.state)}
    return give_back(
        Imported("transformer_net", imported.spec, state, [], imported.layout), to_public
    )


def fold_range(state: State) -> State:
    """First and last convolution for x = 127.5 (ours + 1) in and out, computed in float64."""
    first, last = state["stem.conv.weight"].double(), state["head.conv.weight"].double()
    shift = HALF * first.sum((1, 2, 3))
    return as_floats(
        {
            "stem.conv.weight": HALF * first,
            "stem.conv.bias": state["stem.conv.bias"].double() + shift,
            "head.conv.weight": last / HALF,
            "head.conv.bias": state["head.conv.bias"].double() / HALF - 1,
        }
    )


def unfold_range(state: State) -> State:
    """The inverse of `fold_range`."""
    first, last = state["stem.conv.weight"].double(), state["head.conv.weight"].double()
    return as_floats(
        {
            "stem.conv.weight": first / HALF,
            "stem.conv.bias": state["stem.conv.bias"].double() - first.sum((1, 2, 3)),
            "head.conv.weight": last * HALF,
            "head.conv.bias": (state["head.conv.bias"].double() + 1) * HALF,
        }
    )


def as_floats(state: State) -> State:
    """Every tensor as float32."""
    return {key: value.to(torch.float32) for key, value in state.items()}


def to_public(own: str) -> str:
    """Our key -> the public key."""
    first, *rest, leaf = own.split(".")
    if first in NORMS:
        return f"{NORMS[first]}.{leaf}"
    if first in CONVS:
        return f"{CONVS[first]}.conv2d.{leaf}"
    index, layer = int(rest[0]) + 1, rest[1]
    if layer.startswith("norm"):
        return f"res{index}.in{layer[-1]}.{leaf}"
    return f"res{index}.{layer}.conv2d.{leaf}"
