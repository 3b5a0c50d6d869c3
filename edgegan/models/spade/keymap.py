"""SPADE generators by their key names alone: fc, head_0, G_middle_0, G_middle_1, up_0 ... up_3, conv_img.

Full nets have them with spectral normalisation; gan-compression's mobile, super and sub nets without, the sub nets
with statistics of the super net's width of which only the leading part is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgegan.models.matching import Imported, adopt, expected_state, give_back, shape_of
from edgegan.models.spade.network import BLOCK_NAMES, SeparableNorm, SpadeSpec
from edgegan.models.spec import Spec
from edgegan.weights import State

EXAMPLE = "SPADE (fc.weight, head_0.conv_0.weight ...)"
PUBLIC_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
PARTS = {
    "spade1": "norm_0",
    "spade2": "norm_1",
    "spade_shortcut": "norm_s",
    "conv1": "conv_0",
    "conv2": "conv_1",
    "shortcut": "conv_s",
}
INSIDE = {
    "norm": "param_free_norm",
    "shared": "mlp_shared.0",
    "scale": "mlp_gamma",
    "shift": "mlp_beta",
    "depthwise": "conv.0",
    "pointwise": "conv.2",
}
CITYSCAPES_CHANNELS = 36
WITHOUT_EDGES = (151, 182, 183)  # channels of ADE20K and COCO-Stuff, which have no instance maps


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return any(key.startswith("head_0.") for key in state) and any(
        key.startswith("fc.") for key in state
    )


def read(state: State, path: Path) -> Imported:
    """What weights do not tell is assumed aloud: Cityscapes' 36 channels mean `more`, other counts `normal`; the last
    channel is the instance edge but for datasets without; separable convolutions that have a bias in front of an unseen
    norm have InstanceNorm there."""
    changes: list[str] = []

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, f"{key}.weight", path)[axis])

    separable = "head_0.norm_0.mlp_gamma.conv.0.weight" in state
    batch = "head_0.norm_0.param_free_norm.running_mean" in state
    channels = width("fc", 1)
    edge = channels > 1 and channels not in WITHOUT_EDGES
    spec = SpadeSpec(
        classes=channels - int(edge),
        instance_edge=edge,
        out_channels=width("conv_img"),
        trunk=width("fc"),
        up=tuple(width(f"up_{index}.conv_1") for index in range(4)),  # type: ignore[arg-type]
        inner=tuple(width(f"{name}.conv_0") for name in PUBLIC_BLOCKS),
        hidden=tuple(width(f"{name}.norm_0.mlp_shared.0") for name in PUBLIC_BLOCKS),
        upsampling="more" if channels == CITYSCAPES_CHANNELS else "normal",
        block="separable" if separable else "dense",
        norm="batch" if batch else "instance",
        separable_norm=find_separable_norm(state) if separable else "instance",
    )
    changes += assumed(spec)
    state, statistics = trim_statistics(state, spec, changes)
    layout: dict[str, Any] = {"statistics": statistics}
    biasless = separable and not any(key.endswith(".conv.0.bias") for key in state)
    return adopt(
        Imported("spade", spec, state, changes, layout),
        to_public,
        path,
        lambda own: biasless and own.endswith("depthwise.bias"),
    )


def find_separable_norm(state: State) -> SeparableNorm:
    """The norm inside separable convolutions: BatchNorm shows in the keys, InstanceNorm follows biases."""
    if "head_0.norm_0.mlp_gamma.conv.1.running_mean" in state:
        return "batch"
    return "instance" if any(key.endswith(".conv.0.bias") for key in state) else "none"


def assumed(spec: SpadeSpec) -> list[str]:
    """What the weights do not tell, in words that name the options which say otherwise."""
    channels, edge = spec.in_channels, spec.instance_edge
    last, other = ("the instance edge", "class") if edge else ("a class", "edge")
    lines = [
        f"the last of {channels} channels is {last}: assumed, the weights do not tell (--last-channel {other})"
    ]
    if spec.block == "separable" and spec.separable_norm == "instance":
        lines.append(
            "InstanceNorm between depthwise and pointwise convolutions assumed: the weights do not tell "
            "(--separable-norm none)"
        )
    other = "normal" if spec.upsampling == "more" else "more"
    return [
        *lines,
        f"upsampling '{spec.upsampling}' assumed: the weights do not tell (--upsampling {other})",
    ]


def write(imported: Imported) -> State:
    """The public state dict, full-width statistics as it was read with."""
    state = give_back(imported, to_public)
    for key, length in imported.layout.get("statistics", {}).items():
        rest = torch.full((length - len(state[key]),), float(key.endswith("var")))
        state[key] = torch.cat([state[key], rest])
    return state


def trim_statistics(
    state: State, spec: SpadeSpec, changes: list[str]
) -> tuple[State, dict[str, int]]:
    """Statistics cut to the leading channels that a sub net uses, and the lengths they had."""
    own = expected_state(spec)
    wanted = {to_public(key): value for key, value in own.items() if "running" in key}
    lengths = {
        key: len(state[key])
        for key, value in wanted.items()
        if key in state and state[key].dim() == 1 and len(state[key]) > len(value)
    }
    if lengths:
        changes.append(
            f"{len(lengths)} statistics of the super net's width cut to the channels in use (exact)"
        )
    trimmed = {key: state[key][: len(wanted[key])].clone() for key in lengths}
    return {**state, **trimmed}, lengths


def sub_network(spec: Spec, config: str, _legacy: bool) -> Spec | None:
    """The sub-network of a mobile SPADE that a width config means; None for a full SPADE."""
    assert isinstance(spec, SpadeSpec)
    if spec.block != "separable":
        return None
    kept = {"classes", "instance_edge", "out_channels", "upsampling", "norm", "separable_norm"}
    return SpadeSpec.from_config(config, **spec.model_dump(include=kept))


def cut_layout(state: State) -> dict[str, Any]:
    """How long each statistic of a super net is, in public names: its sub nets keep that length."""
    lengths = {
        to_public(own): len(value)
        for own, value in state.items()
        if own.endswith(("running_mean", "running_var"))
    }
    return {"statistics": lengths}


def to_public(own: str) -> str:
    """Our key -> the public key."""
    first, *rest = own.split(".")
    if first in ("stem", "head_conv"):
        return ".".join([{"stem": "fc", "head_conv": "conv_img"}[first], *rest])
    block = PUBLIC_BLOCKS[BLOCK_NAMES.index(first)]
    part, *inside, leaf = rest
    names = [INSIDE[name] for name in inside]
    if len(inside) == 2 and inside[1] == "norm":
        names[1] = "conv.1"
    return ".".join([block, PARTS[part], *names, leaf])
