"""UGATIT-pytorch: DownBlock.1, DownBlock.10.conv_block.1, gap_fc, conv1x1, FC.0, gamma, UpBlock1_1.conv1, UpBlock2.2"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from edgegan.errors import CheckpointError
from edgegan.models.matching import (
    Imported,
    adopt,
    count_up,
    drop_statistics,
    give_back,
    shape_of,
)
from edgegan.models.ugatit.network import UgatitSpec
from edgegan.weights import State

EXAMPLE = "U-GAT-IT (DownBlock.1.weight, UpBlock1_1.conv1.weight ...)"
PLACES = {
    "stem": "DownBlock.1",
    "down1": "DownBlock.5",
    "down2": "DownBlock.9",
    "attention": "conv1x1",
    "hidden1": "FC.0",
    "hidden2": "FC.2",
    "scale": "gamma",
    "shift": "beta",
    "up1.conv": "UpBlock2.2",
    "up1.norm": "UpBlock2.3",
    "up2.conv": "UpBlock2.7",
    "up2.norm": "UpBlock2.8",
    "head": "UpBlock2.11",
}
LEAVES = {"scale": "gamma", "shift": "beta"}
FIRST_BLOCK = 12  # stem 0-3, halvings 4-7 and 8-11
WEIGHED = ("gap_fc.weight", "gmp_fc.weight")
JOINED = "conv1x1.weight"


def recognises(state: State) -> bool:
    """Whether these are its keys."""
    return "DownBlock.1.weight" in state and "gap_fc.weight" in state


def read(state: State, path: Path) -> Imported:
    """Full or light by the shape of FC.0; the attention's two weights a channel are folded into the convolution behind
    them. Files with several generators have genA2B and genB2A."""
    changes: list[str] = []
    state = drop_statistics(state, changes)

    def width(place: str, axis: int = 0, dims: int = 4) -> int:
        return int(shape_of(state, f"{place}.weight", path, dims)[axis])

    trunk, turned = width("DownBlock.9"), width("conv1x1")
    entries = width("FC.0", 1, dims=2)
    quarter = math.isqrt(entries // turned)
    if entries != turned * quarter**2:
        raise CheckpointError(
            f"{path}: 'FC.0.weight' reads {entries} numbers, neither the {turned} channels of 'conv1x1.weight' nor a "
            "square of them; is the file complete?"
        )
    blocks = count_up(lambda index: f"{encoder(index)}.1.weight" in state)
    spec = UgatitSpec(
        in_channels=width("DownBlock.1", 1),
        out_channels=width("UpBlock2.11"),
        stem=width("DownBlock.1"),
        down=width("DownBlock.5"),
        trunk=trunk,
        inner=tuple(width(f"{encoder(index)}.1") for index in range(blocks)),
        turned=turned,
        hidden=(width("FC.0", dims=2), width("FC.2", dims=2)),
        decoded=(turned,) * count_up(lambda index: f"UpBlock1_{index + 1}.conv1.weight" in state),
        up=(width("UpBlock2.2"), width("UpBlock2.7")),
        adaptive="light" if quarter == 1 else "full",
        side=4 * quarter if quarter > 1 else UgatitSpec().side,
    )
    state, weighed = fold_attention(state, trunk, path)
    changes.append("attention folded into the 1x1 convolution behind it (exact)")
    if quarter > 1:
        changes.append(f"it takes pictures of {spec.side}x{spec.side} only: FC.0 reads every pixel")
    state = {key: to_ours(key, value, quarter) for key, value in state.items()}
    layout = {"weighed": weighed}
    return adopt(
        Imported("ugatit", spec, state, changes, layout),
        to_public,
        path,
        lambda own: own.endswith(".bias") and own != "attention.bias",
    )


def encoder(index: int) -> str:
    """Where a residual block of the encoder stands."""
    return f"DownBlock.{FIRST_BLOCK + index}.conv_block"


def fold_attention(state: State, trunk: int, path: Path) -> tuple[State, State]:
    """The state with one weight a channel, and the tensors that it was made of: conv([x a, x b]) = (C1 a + C2 b) x."""
    whole = state[JOINED]
    weighed = {key: state[key] for key in WEIGHED if key in state} | {JOINED: whole}
    if len(weighed) < 3 or whole.shape[1] != 2 * trunk or whole.shape[2:] != (1, 1):
        raise CheckpointError(
            f"{path}: '{JOINED}' of shape {tuple(whole.shape)} does not join two attentions of {trunk} channels; "
            "is the file complete?"
        )
    average, most = (state[key].reshape(1, -1, 1, 1).double() for key in WEIGHED)
    if average.numel() != trunk or most.numel() != trunk:
        raise CheckpointError(
            f"{path}: '{WEIGHED[0]}' and '{WEIGHED[1]}' must have {trunk} numbers"
        )
    folded = whole[:, :trunk] * average + whole[:, trunk:] * most
    rest = {key: value for key, value in state.items() if key not in weighed}
    return {**rest, JOINED: folded.float()}, weighed


def to_ours(key: str, value: torch.Tensor, quarter: int) -> torch.Tensor:
    """Linear layers as convolutions, norms' numbers as (C, 1, 1)."""
    if key == "FC.0.weight" and value.dim() == 2:
        return value.reshape(len(value), -1, quarter, quarter)
    if key in ("FC.2.weight", "gamma.weight", "beta.weight") and value.dim() == 2:
        return value[:, :, None, None]
    if key.endswith((".rho", ".gamma", ".beta")) and value.dim() == 4:
        return value[0]
    return value


def write(imported: Imported) -> State:
    """The public state dict; a generator that was changed has an attention that is 1 and 0."""
    assert isinstance(imported.spec, UgatitSpec)
    state = give_back(imported, to_public)
    for key, value in state.items():
        if key.startswith(("FC.", "gamma.", "beta.")):
            state[key] = value.flatten(1)
        elif key.endswith((".rho", ".gamma", ".beta")):
            state[key] = value[None]
    folded, trunk = state[JOINED], imported.spec.trunk
    weighed = imported.layout.get("weighed")
    if weighed is not None and weighed[JOINED].shape[1] == 2 * trunk:
        again, _ = fold_attention(weighed, trunk, Path(JOINED))
        if again[JOINED].shape == folded.shape and torch.equal(again[JOINED], folded):
            return {**state, **weighed}
    ones = torch.ones(1, trunk)
    joined = torch.cat([folded, torch.zeros_like(folded)], dim=1)
    return {**state, JOINED: joined, WEIGHED[0]: ones, WEIGHED[1]: torch.zeros_like(ones)}


def to_public(own: str) -> str:
    """Our key -> the public key."""
    module, leaf = own.rsplit(".", 1)
    if module in PLACES:
        leaf = LEAVES.get(leaf, leaf)
        return f"{PLACES[module]}.{leaf}"
    part, index, layer = module.split(".", 2)
    if part == "decoder":
        return f"UpBlock1_{int(index) + 1}.{layer}.{leaf}"
    return (
        f"{encoder(int(index))}.{ {'conv1': 1, 'norm1': 2, 'conv2': 5, 'norm2': 6}[layer] }.{leaf}"
    )
