"""CartoonGAN-Test-Pytorch-Torch and the copies of its weights: conv01_1, in01_1, ... deconv03_1."""

from __future__ import annotations

import re
from pathlib import Path

from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.matching import Imported, adopt, count_up, give_back, shape_of
from edgegan.models.spec import Spec
from edgegan.weights import State

EXAMPLE = "CartoonGAN (conv01_1.weight ...)"
FIXED = {
    "stem": "conv01_1",
    "stem_norm": "in01_1",
    "down1_norm": "in02_1",
    "down2_norm": "in03_1",
    "up1_norm": "in12_1",
    "up2_norm": "in13_1",
    "head": "deconv03_1",
}
STAGES = {"down1": "conv02", "down2": "conv03", "up1": "deconv01", "up2": "deconv02"}
FOLDED = {"stem.weight": 1, "head.weight": 0, "head.bias": 0}


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "conv01_1.weight" in state or "deconv01_1.weight" in state


def read(state: State, path: Path) -> Imported:
    """Its BGR order is folded into the first and last convolution, so that ours is RGB."""

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    blocks = count_up(lambda index: f"conv{index + 4:02d}_1.weight" in state)
    spec = CartoonSpec(
        in_channels=width("conv01_1", 1),
        out_channels=width("deconv03_1"),
        stem=width("conv01_1"),
        down1=(width("conv02_1"), width("conv02_2")),
        down2=(width("conv03_1"), width("conv03_2")),
        inner=tuple(width(f"conv{index + 4:02d}_1") for index in range(blocks)),
        up1=(width("deconv01_1", 1), width("deconv01_2")),
        up2=(width("deconv02_1", 1), width("deconv02_2")),
    )
    imported = adopt(Imported("cartoon", spec, state), to_public, path)
    if is_coloured(spec):
        imported.state.update(swap_colours(imported.state))
        imported.changes.append(
            "BGR input and output folded into the first and last convolution (exact): now RGB"
        )
    return imported


def write(imported: Imported) -> State:
    """The public state dict, BGR again."""
    state = imported.state
    if is_coloured(imported.spec):
        state = {**state, **swap_colours(state)}
    return give_back(Imported("cartoon", imported.spec, state, [], imported.layout), to_public)


def is_coloured(spec: Spec) -> bool:
    """Whether input and output are colour images, which upstream are BGR."""
    assert isinstance(spec, CartoonSpec)
    return spec.in_channels == 3 and spec.out_channels == 3


def swap_colours(state: State) -> State:
    """The first and last convolution with red and blue exchanged."""
    return {key: state[key].flip(axis).contiguous() for key, axis in FOLDED.items()}


def to_public(own: str) -> str:
    """Our key -> the upstream key."""
    module, leaf = own.rsplit(".", 1)
    first, _, rest = module.partition(".")
    if module in FIXED:
        public = FIXED[module]
    elif first in STAGES:
        public = f"{STAGES[first]}_{int(rest) + 1}"
    else:
        index, _, layer = rest.partition(".")
        kind = "conv" if layer.startswith("conv") else "in"
        public = f"{kind}{int(index) + 4:02d}_{layer[-1]}"
    if re.match("in", public):
        leaf = {"weight": "scale", "bias": "shift"}[leaf]
    return f"{public}.{leaf}"
