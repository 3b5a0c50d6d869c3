"""The Inception network of the FID protocol, from either public layout of its weights, as convolutions without norms.

TensorFlow's graph of 2015-12-05, as FID (Heusel et al. 2017) uses it: average pools do not count padding, and the
last module's pool is a maximum. Layouts read: pytorch-fid's (`Conv2d_1a_3x3.conv.weight`, batch norms beside it) and
one whose batch norms are folded already (`mixed_4_tower_conv_1.weight`), which may end at mixed_8.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from edgegan.errors import CheckpointError
from edgegan.weights import read_state

State = dict[str, torch.Tensor]
SIDE = 299
BATCH_NORM_EPSILON = 1e-3
STEM = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
}
MODULES = {
    "Mixed_5b": "mixed_",
    "Mixed_5c": "mixed_1_",
    "Mixed_5d": "mixed_2_",
    "Mixed_6a": "mixed_3_",
    "Mixed_6b": "mixed_4_",
    "Mixed_6c": "mixed_5_",
    "Mixed_6d": "mixed_6_",
    "Mixed_6e": "mixed_7_",
    "Mixed_7a": "mixed_8_",
    "Mixed_7b": "mixed_9_",
    "Mixed_7c": "mixed_10_",
}
SMALL = {
    "branch1x1": "conv",
    "branch5x5_1": "tower_conv",
    "branch5x5_2": "tower_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3": "tower_1_conv_2",
    "branch_pool": "tower_2_conv",
}
FIRST_REDUCTION = {
    "branch3x3": "conv",
    "branch3x3dbl_1": "tower_conv",
    "branch3x3dbl_2": "tower_conv_1",
    "branch3x3dbl_3": "tower_conv_2",
}
SEVENS = {
    "branch1x1": "conv",
    "branch7x7_1": "tower_conv",
    "branch7x7_2": "tower_conv_1",
    "branch7x7_3": "tower_conv_2",
    "branch7x7dbl_1": "tower_1_conv",
    "branch7x7dbl_2": "tower_1_conv_1",
    "branch7x7dbl_3": "tower_1_conv_2",
    "branch7x7dbl_4": "tower_1_conv_3",
    "branch7x7dbl_5": "tower_1_conv_4",
    "branch_pool": "tower_2_conv",
}
SECOND_REDUCTION = {
    "branch3x3_1": "tower_conv",
    "branch3x3_2": "tower_conv_1",
    "branch7x7x3_1": "tower_1_conv",
    "branch7x7x3_2": "tower_1_conv_1",
    "branch7x7x3_3": "tower_1_conv_2",
    "branch7x7x3_4": "tower_1_conv_3",
}
WIDE = {
    "branch1x1": "conv",
    "branch3x3_1": "tower_conv",
    "branch3x3_2a": "tower_mixed_conv",
    "branch3x3_2b": "tower_mixed_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3a": "tower_1_mixed_conv",
    "branch3x3dbl_3b": "tower_1_mixed_conv_1",
    "branch_pool": "tower_2_conv",
}
BRANCHES = dict(
    zip(
        MODULES,
        [SMALL] * 3 + [FIRST_REDUCTION] + [SEVENS] * 4 + [SECOND_REDUCTION] + [WIDE] * 2,
        strict=True,
    )
)
LAST_MODULE = {768: "mixed_7_", 1280: "mixed_8_", 2048: "mixed_10_"}


def read_inception(path: Path) -> State:
    """Folded weights of either layout; raises CheckpointError naming a missing key."""
    state = read_state(path)
    if "Conv2d_1a_3x3.conv.weight" in state:
        return fold_batch_norms(state, path)
    if "conv.weight" in state and "mixed_conv.weight" in state:
        return state
    raise CheckpointError(
        f"{path} holds no Inception weights (first key '{next(iter(state))}'); give pytorch-fid's "
        "pt_inception-2015-12-05-6726825d.pth, or a file with folded keys such as 'mixed_conv.weight'"
    )


def fold_batch_norms(state: Mapping[str, torch.Tensor], path: Path) -> State:
    """pytorch-fid's keys to ours, each batch norm folded into its convolution; `fc` stays."""
    names = dict(STEM)
    for module, prefix in MODULES.items():
        for branch, ours in BRANCHES[module].items():
            names[f"{module}.{branch}"] = prefix + ours
    folded: State = {}
    for theirs, ours in names.items():
        parts = {
            key: require(state, f"{theirs}.{key}", path)
            for key in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        }
        factor = parts["bn.weight"] / torch.sqrt(parts["bn.running_var"] + BATCH_NORM_EPSILON)
        folded[ours + ".weight"] = parts["conv.weight"] * factor[:, None, None, None]
        folded[ours + ".bias"] = parts["bn.bias"] - parts["bn.running_mean"] * factor
    if "fc.weight" in state:
        folded["fc.weight"] = state["fc.weight"]
    return folded


def require(state: Mapping[str, torch.Tensor], key: str, path: Path) -> torch.Tensor:
    """A weight by key; raises CheckpointError naming it when it is missing."""
    if key not in state:
        raise CheckpointError(f"{path} lacks '{key}'; download the file again")
    return state[key]


def check_reach(weights: State, dimensions: int, path: Path) -> None:
    """Raises CheckpointError when these weights end before the layer of so many dimensions."""
    prefix = LAST_MODULE[dimensions]
    kinds = dict(zip(MODULES.values(), BRANCHES.values(), strict=True))
    for module in list(kinds)[: list(kinds).index(prefix) + 1]:
        for name in kinds[module].values():
            if module + name + ".weight" not in weights:
                raise CheckpointError(
                    f"{path} ends before the {dimensions}-dimensional layer (no '{module + name}.weight'); "
                    "use another feature extractor or pytorch-fid's weights"
                )


def inception_features(weights: State, x: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(N, 3, 299, 299) in [-1, 1] -> (N, dimensions): channel means after the module that has so many."""

    def conv(y: torch.Tensor, name: str, stride: int = 1, padded: bool = True) -> torch.Tensor:
        weight = weights[name + ".weight"]
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)
        return F.relu(F.conv2d(y, weight, weights[name + ".bias"], stride, padding))

    def chain(y: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            y = conv(y, name)
        return y

    def average(y: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)

    y = conv(conv(conv(x, "conv", 2, False), "conv_1", 1, False), "conv_2")
    y = conv(conv(F.max_pool2d(y, 3, 2), "conv_3", 1, False), "conv_4", 1, False)
    y = F.max_pool2d(y, 3, 2)
    for p in ("mixed_", "mixed_1_", "mixed_2_"):
        fives = chain(y, p + "tower_conv", p + "tower_conv_1")
        threes = chain(y, p + "tower_1_conv", p + "tower_1_conv_1", p + "tower_1_conv_2")
        y = torch.cat([conv(y, p + "conv"), fives, threes, conv(average(y), p + "tower_2_conv")], 1)
    p = "mixed_3_"
    threes = conv(chain(y, p + "tower_conv", p + "tower_conv_1"), p + "tower_conv_2", 2, False)
    y = torch.cat([conv(y, p + "conv", 2, False), threes, F.max_pool2d(y, 3, 2)], 1)
    for p in ("mixed_4_", "mixed_5_", "mixed_6_", "mixed_7_"):
        sevens = chain(y, p + "tower_conv", p + "tower_conv_1", p + "tower_conv_2")
        doubled = chain(y, p + "tower_1_conv", *(f"{p}tower_1_conv_{i}" for i in range(1, 5)))
        y = torch.cat(
            [conv(y, p + "conv"), sevens, doubled, conv(average(y), p + "tower_2_conv")], 1
        )
    if dimensions == 768:
        return y.mean((2, 3))
    p = "mixed_8_"
    threes = conv(conv(y, p + "tower_conv"), p + "tower_conv_1", 2, False)
    sevens = chain(y, p + "tower_1_conv", p + "tower_1_conv_1", p + "tower_1_conv_2")
    sevens = conv(sevens, p + "tower_1_conv_3", 2, False)
    y = torch.cat([threes, sevens, F.max_pool2d(y, 3, 2)], 1)
    if dimensions == 1280:
        return y.mean((2, 3))
    for p in ("mixed_9_", "mixed_10_"):
        three = conv(y, p + "tower_conv")
        double = chain(y, p + "tower_1_conv", p + "tower_1_conv_1")
        pooled = average(y) if p == "mixed_9_" else F.max_pool2d(y, 3, 1, 1)
        y = torch.cat(
            [
                conv(y, p + "conv"),
                *(conv(three, p + name) for name in ("tower_mixed_conv", "tower_mixed_conv_1")),
                *(
                    conv(double, p + name)
                    for name in ("tower_1_mixed_conv", "tower_1_mixed_conv_1")
                ),
                conv(pooled, p + "tower_2_conv"),
            ],
            1,
        )
    return y.mean((2, 3))
