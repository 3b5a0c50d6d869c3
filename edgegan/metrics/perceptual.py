"""Perceptual distance: how far apart two pictures are in the features of a network.

As in Zhang et al. 2018, without learned weights. Everything is differentiable, so that the distance can be a
term of a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from edgegan.errors import CheckpointError, InputError
from edgegan.files import sha256_file
from edgegan.metrics.download import VGG16_URL, fetch
from edgegan.weights import read_state

State = dict[str, torch.Tensor]
Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Blocks = tuple[tuple[int, ...], ...]
VGG16_BLOCKS: Blocks = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
VGG19_BLOCKS: Blocks = ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28, 30, 32, 34))
VGGS = {"vgg16": VGG16_BLOCKS, "vgg19": VGG19_BLOCKS}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SQUEEZENET_TAPS = ("conv1", "fire3", "fire5", "fire7", "fire9")
SMALLEST_SIDE = 32


@dataclass(frozen=True)
class PerceptualNetwork:
    """A named network: `features` takes (N, 3, H, W) RGB in [-1, 1] and gives maps (N, C, h, w), shallow to deep.

    `weights` are those of a VGG or SqueezeNet, for losses that look elsewhere in it; empty for other networks.
    """

    name: str
    weights_sha256: str | None
    features: Callable[[torch.Tensor], list[torch.Tensor]]
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)


def perceptual_distance(
    network: PerceptualNetwork, a: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    """Distance (N,) of two batches (N, 3, H, W) in [-1, 1]: 0 when equal; features never negative give 2 at most.

    At each tap the channels of every place are scaled to length one; squared differences are summed over channels and
    averaged over places, then over taps.
    """
    if a.shape != b.shape:
        raise InputError(f"pictures of shapes {tuple(a.shape)} and {tuple(b.shape)} do not match")
    if min(a.shape[2:]) < SMALLEST_SIDE:
        raise InputError(
            f"a perceptual distance needs sides of at least {SMALLEST_SIDE} pixels, not {a.shape[2]}x{a.shape[3]}"
        )
    distances = [
        (F.normalize(x, dim=1, eps=1e-10) - F.normalize(y, dim=1, eps=1e-10))
        .square()
        .sum(1)
        .mean((1, 2))
        for x, y in zip(network.features(a), network.features(b), strict=True)
    ]
    return torch.stack(distances).mean(0)


def open_perceptual(
    path: Path | None, *, download: bool = False, device: torch.device | None = None
) -> PerceptualNetwork:
    """VGG16 or VGG19 (torchvision's keys) or SqueezeNet 1.1 (Caffe's layers), recognised by their keys; VGG16 can be
    fetched.

    Raises InputError or CheckpointError naming the file.
    """
    if path is None:
        if not download:
            raise InputError(
                "a perceptual distance needs the weights of its network: give the path of VGG16 "
                f"(torchvision) or SqueezeNet 1.1, or ask for a download of {VGG16_URL}"
            )
        path = fetch(VGG16_URL)
    weights = {key: value.to(device or "cpu") for key, value in read_state(path).items()}
    digest = sha256_file(path)
    if "fire2.squeeze1x1.weight" in weights:
        needed = ["conv1", *(f"fire{i}.{p}" for i in range(2, 10) for p in FIRE_PARTS)]
        check_keys(weights, needed, path)
        return PerceptualNetwork(
            "squeezenet1.1-caffe", digest, lambda x: squeezenet_features(weights, x), weights
        )
    if "0.weight" in weights and "features.0.weight" not in weights:  # of model.features alone
        weights = {f"features.{key}": value for key, value in weights.items()}
    for name, blocks in reversed(VGGS.items()):
        layers = [f"features.{layer}" for block in blocks for layer in block]
        if f"{layers[-1]}.weight" in weights:
            check_keys(weights, layers, path)
            check_chain(weights, layers, path)
            features = partial(vgg_features, weights, blocks)
            return PerceptualNetwork(name, digest, features, weights)
    raise CheckpointError(
        f"{path} is neither VGG16 nor VGG19 ('features.0.weight' to 'features.28.weight' or '34') nor SqueezeNet 1.1 "
        f"('fire2.squeeze1x1.weight'); its first key is '{next(iter(weights))}'"
    )


FIRE_PARTS = ("squeeze1x1", "expand1x1", "expand3x3")


def check_keys(weights: State, names: list[str], path: Path) -> None:
    """Raises CheckpointError naming the first layer without weight or bias."""
    for name in names:
        for part in ("weight", "bias"):
            if f"{name}.{part}" not in weights:
                raise CheckpointError(f"{path} lacks '{name}.{part}'; download the file again")


def check_chain(weights: Mapping[str, torch.Tensor], layers: list[str], path: Path) -> None:
    """Raises CheckpointError naming the first 3x3 convolution that does not take what the one before it gives."""
    channels = 3
    for layer in layers:
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        if (
            weight.dim() != 4
            or weight.shape[1:] != (channels, 3, 3)
            or bias.shape != weight.shape[:1]
        ):
            raise CheckpointError(
                f"{path}: '{layer}' has a weight of shape {tuple(weight.shape)} and a bias of {tuple(bias.shape)}, "
                f"expected (outputs, {channels}, 3, 3) and (outputs,); give torchvision's VGG without BatchNorm"
            )
        channels = len(weight)


def imagenet_scaled(x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] less ImageNet's mean, in its deviations."""
    mean, deviation = (x.new_tensor(each)[:, None, None] for each in IMAGENET)
    return ((x + 1) / 2 - mean) / deviation


def vgg_features(
    weights: Mapping[str, torch.Tensor], blocks: Blocks, x: torch.Tensor
) -> list[torch.Tensor]:
    """ReLU outputs at the end of each block of a VGG, of pictures in [-1, 1]."""
    return vgg_maps(weights, imagenet_scaled(x), blocks, [block[-1] for block in blocks])


def vgg_maps(
    weights: Mapping[str, torch.Tensor], y: torch.Tensor, blocks: Blocks, taps: Sequence[int]
) -> list[torch.Tensor]:
    """What a VGG's ReLUs behind the convolutions `taps` (torchvision's numbers) make of its input, as it takes it."""
    maps = []
    for index, block in enumerate(blocks):
        if index:
            y = F.max_pool2d(y, 2)
        for layer in block:
            weight = weights[f"features.{layer}.weight"]
            y = F.relu(F.conv2d(y, weight, weights[f"features.{layer}.bias"], padding=1))
            if layer in taps:
                maps.append(y)
            if layer == taps[-1]:
                return maps
    return maps


def squeezenet_features(weights: State, x: torch.Tensor) -> list[torch.Tensor]:
    """SqueezeNet 1.1 after its first convolution and after fire modules 3, 5, 7 and 9.

    Caffe's weights take BGR in 0..255 less the ImageNet mean (104, 117, 123); the first convolution has no padding and
    pools round up.
    """
    mean = x.new_tensor([104.0, 117.0, 123.0])[:, None, None]
    y = (x.flip(1) + 1) * 127.5 - mean
    y = F.relu(F.conv2d(y, weights["conv1.weight"], weights["conv1.bias"], stride=2))
    maps = [y]
    for index in range(2, 10):
        if index in (2, 4, 6):
            y = F.max_pool2d(y, 3, 2, ceil_mode=True)

        def conv(z: torch.Tensor, part: str, index: int = index) -> torch.Tensor:
            weight = weights[f"fire{index}.{part}.weight"]
            bias = weights[f"fire{index}.{part}.bias"]
            return F.relu(F.conv2d(z, weight, bias, padding=weight.shape[2] // 2))

        squeezed = conv(y, "squeeze1x1")
        y = torch.cat([conv(squeezed, "expand1x1"), conv(squeezed, "expand3x3")], 1)
        if f"fire{index}" in SQUEEZENET_TAPS:
            maps.append(y)
    return maps


def perceptual_loss(network: PerceptualNetwork) -> Perceptual:
    """The mean distance of two batches as a term of a loss."""
    return lambda a, b: perceptual_distance(network, a, b).mean()
