"""Dilated residual networks of kind D with a head of classes (Yu et al. 2017), from the public layout of their weights.

DRN-D-105 with 19 classes (drn-d-105_ms_cityscapes.pth) is what GAN Compression's mean IoU on Cityscapes is measured by.
How deep the network is, and whether its blocks have two or three convolutions, is read from the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from edgegan.data.cityscapes import CLASSES, IGNORED, OF_LABELS
from edgegan.errors import CheckpointError, InputError
from edgegan.files import sha256_file
from edgegan.metrics.networks import Network, NetworkCard, read_card
from edgegan.weights import read_state

State = Mapping[str, torch.Tensor]
EPSILON = 1e-5
RESIDUAL = (3, 4, 5, 6)
STRIDES = {2: 2, 3: 2, 4: 2}
DILATIONS = {5: 2, 6: 4, 7: 2}
MOST_BLOCKS = 64
DEPTHS: dict[tuple[int, ...], int] = {
    (1, 1, 1, 2, 2, 2, 2, 1, 1): 22,
    (1, 1, 1, 3, 4, 6, 3, 1, 1): 38,
}
DEEP: dict[tuple[int, ...], int] = {
    (1, 1, 1, 3, 4, 6, 3, 1, 1): 54,
    (1, 1, 1, 3, 4, 23, 3, 1, 1): 105,
}
WHAT = "the weights of a DRN-D with its classes, such as drn-d-105_ms_cityscapes.pth"
CITYSCAPES = NetworkCard(
    mean=(0.29010095242892997, 0.32808144844279574, 0.28696394422942517),
    std=(0.1829540508368939, 0.18656561047509476, 0.18447508988480435),
    classes=list(CLASSES),
    ignore=IGNORED,
    of_labels=OF_LABELS,
    source={"data": "Cityscapes", "paper": "Yu, Koltun & Funkhouser 2017"},
)


def open_drn(path: Path) -> Network:
    """The network behind a checkpoint of DRN-D weights, fed as its card says, for 19 classes as Cityscapes' is.

    Raises InputError or CheckpointError naming the file and a key that lacks.
    """
    if not path.is_file():
        raise InputError(f"network {path} does not exist; give {WHAT}")
    state = read_state(path)
    blocks = count_blocks(state, path)
    check_keys(state, blocks, path)
    classes = state["seg.weight"].shape[0]
    card = read_card(path)
    if card == NetworkCard() and classes == len(CLASSES):
        card = CITYSCAPES
    name = card.name or drn_name(state, blocks)
    return Network(name, sha256_file(path), card, lambda x: logits(state, blocks, card.feed(x)))


def drn_name(state: State, blocks: tuple[int, ...]) -> str:
    """DRN-D-105 and its kin by their number of layers."""
    known = DEEP if "base.3.0.conv3.weight" in state else DEPTHS
    return f"DRN-D-{known.get(blocks, 'of its own')}"


def count_blocks(state: State, path: Path) -> tuple[int, ...]:
    """How many convolutions (levels 0, 1, 2, 7, 8) or residual blocks (3 to 6) each level has."""
    found = []
    for level in range(9):
        inner, step = ("conv1.weight", 1) if level in RESIDUAL else ("weight", 3)
        count = 0
        while f"base.{level}.{step * count}.{inner}" in state and count < MOST_BLOCKS:
            count += 1
        if not count:
            raise CheckpointError(
                f"{path} lacks 'base.{level}.0.{inner}': it is not {WHAT}; a network of another kind has to be "
                "TorchScript or ONNX"
            )
        found.append(count)
    return tuple(found)


def check_keys(state: State, blocks: tuple[int, ...], path: Path) -> None:
    """Raises CheckpointError for a weight that lacks or has another rank than a convolution's or a norm's."""
    ranks = {"seg.weight": 4, "seg.bias": 1}
    for level, count in enumerate(blocks):
        for index in range(count):
            for convolution, norm in parts(state, level, index):
                ranks[f"{convolution}.weight"] = 4
                for key in ("weight", "bias", "running_mean", "running_var"):
                    ranks[f"{norm}.{key}"] = 1
    for key, rank in ranks.items():
        if key not in state or state[key].ndim != rank:
            raise CheckpointError(f"{path} lacks '{key}', or it has another rank; give {WHAT}")


def parts(state: State, level: int, index: int) -> list[tuple[str, str]]:
    """The convolutions of a level's block with their norms."""
    if level not in RESIDUAL:
        return [(f"base.{level}.{3 * index}", f"base.{level}.{3 * index + 1}")]
    block = f"base.{level}.{index}"
    count = 3 if f"{block}.conv3.weight" in state else 2
    found = [(f"{block}.conv{n}", f"{block}.bn{n}") for n in range(1, count + 1)]
    if f"{block}.downsample.0.weight" in state:
        found.append((f"{block}.downsample.0", f"{block}.downsample.1"))
    return found


def logits(state: State, blocks: tuple[int, ...], x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) as its card feeds it -> (N, classes, 8 ceil(H/8), 8 ceil(W/8)), the eightfold bilinear enlargement
    of the head's scores."""
    try:
        for level, count in enumerate(blocks):
            for index in range(count):
                first = index == 0
                stride = STRIDES.get(level, 1) if first else 1
                dilation = DILATIONS.get(level, 1)
                if level in RESIDUAL:
                    x = residual(state, f"base.{level}.{index}", x, stride, dilation)
                else:
                    (names,) = parts(state, level, index)
                    x = F.relu(normed(state, *names, x, stride, dilation))
        x = F.conv2d(x, state["seg.weight"], state["seg.bias"])
        classes = x.shape[1]
        up = state.get("up.weight", bilinear(classes))
        return F.conv_transpose2d(x, up, stride=8, padding=4, groups=classes)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights do not fit together ({str(error).splitlines()[0]}); give {WHAT}"
        ) from error


def residual(state: State, block: str, x: torch.Tensor, stride: int, dilation: int) -> torch.Tensor:
    """One block: two 3x3 convolutions, or 1x1, 3x3 and 1x1, beside the way around."""
    deep = f"{block}.conv3.weight" in state
    pairs = [(f"{block}.conv{n}", f"{block}.bn{n}") for n in range(1, 4 if deep else 3)]
    strided = 1 if deep else 0
    y = x
    for index, names in enumerate(pairs):
        y = normed(state, *names, y, stride if index == strided else 1, dilation)
        y = F.relu(y) if index < len(pairs) - 1 else y
    if f"{block}.downsample.0.weight" in state:
        around = (f"{block}.downsample.0", f"{block}.downsample.1")
        x = normed(state, *around, x, stride, 1)
    return F.relu(y + x)


def normed(
    state: State, convolution: str, norm: str, x: torch.Tensor, stride: int, dilation: int
) -> torch.Tensor:
    """A convolution padded so that stride alone changes the size, then its BatchNorm."""
    weight = state[f"{convolution}.weight"]
    padding = weight.shape[2] // 2 * dilation
    y = F.conv2d(x, weight, None, stride, padding, dilation if weight.shape[2] > 1 else 1)
    mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
    return F.batch_norm(
        y, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=EPSILON
    )


def bilinear(classes: int) -> torch.Tensor:
    """(classes, 1, 16, 16): the transposed convolution that enlarges eight times, bilinearly."""
    line = 1 - (torch.arange(16) / 8 - 15 / 16).abs()
    return (line[:, None] * line).expand(classes, 1, 16, 16).contiguous()
