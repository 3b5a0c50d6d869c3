"""Perceptual distances: by hand, and networks against the same networks written as modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgegan.errors import CheckpointError, InputError
from edgegan.metrics.perceptual import (
    VGG16_BLOCKS,
    PerceptualNetwork,
    open_perceptual,
    perceptual_distance,
)
from edgegan.models.own_features import module_network

IDENTITY = PerceptualNetwork("identity", None, lambda x: [x])


def test_distance_by_hand() -> None:
    """Unit vectors along different axes are 2 apart (squared); length alone makes no difference."""
    red, green = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    red[:, 0], green[:, 1] = 0.3, 0.9
    assert float(perceptual_distance(IDENTITY, red, green)) == pytest.approx(2)
    assert float(perceptual_distance(IDENTITY, red, red * 2)) == pytest.approx(0)
    half = red.clone()
    half[:, :, :16] = green[:, :, :16]
    pair = PerceptualNetwork("two taps", None, lambda x: [x, x[:, :, :16]])
    assert float(perceptual_distance(pair, red, half)) == pytest.approx((1 + 2) / 2)


def test_pictures_that_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="do not match"):
        perceptual_distance(IDENTITY, torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 40))
    with pytest.raises(InputError, match="at least 32 pixels, not 16x16"):
        perceptual_distance(IDENTITY, torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))


def test_vgg16_equals_the_modules(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    taps, channels = [], 3
    for block in VGG16_BLOCKS:
        for _ in block:
            layers += [nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU()]
            channels = 6
        taps.append(len(layers) - 1)
        layers.append(nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    torch.save(
        {f"features.{key}": value for key, value in features.state_dict().items()},
        tmp_path / "vgg16.pth",
    )
    network = open_perceptual(tmp_path / "vgg16.pth")
    assert network.name == "vgg16"
    x = torch.rand(2, 3, 48, 40) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    y = ((x + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    expected = []
    for index, layer in enumerate(layers):
        y = layer(y)
        if index in taps:
            expected.append(y)
    for ours, theirs in zip(network.features(x), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_distance_has_a_gradient() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    network = module_network("teacher", module, ["0", "2"])
    a = torch.rand(2, 3, 32, 32, requires_grad=True)
    distance = perceptual_distance(network, a, torch.rand(2, 3, 32, 32))
    assert distance.shape == (2,)
    distance.sum().backward()
    assert a.grad is not None and float(a.grad.abs().sum()) > 0
    with pytest.raises(InputError, match="has no taps"):
        module_network("bare", module, [])


def test_files_that_are_no_perceptual_network(tmp_path: Path) -> None:
    torch.save({"fire2.squeeze1x1.weight": torch.ones(1, 1, 1, 1)}, tmp_path / "short.pth")
    torch.save({"layer.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"short\.pth lacks 'conv1\.weight'"):
        open_perceptual(tmp_path / "short.pth")
    with pytest.raises(CheckpointError, match="neither VGG16"):
        open_perceptual(tmp_path / "other.pth")
    with pytest.raises(InputError, match="give the path"):
        open_perceptual(None)


def test_squeezenet_on_real_weights(data_folder: Path) -> None:
    """Taps have the published channels and sizes, and more noise is further away."""
    network = open_perceptual(data_folder / "weights" / "squeezenet1_1_caffe_features_fp16.pth")
    torch.manual_seed(0)
    clean = torch.nn.functional.interpolate(
        torch.rand(1, 3, 9, 9) * 2 - 1, (227, 227), mode="bicubic"
    )
    noise = torch.randn(1, 3, 227, 227)
    with torch.inference_mode():
        maps = network.features(clean)
        distances = [
            float(perceptual_distance(network, clean, clean + noise * s)) for s in (0, 0.05, 0.3)
        ]
    shapes = [(64, 113), (128, 56), (256, 28), (384, 14), (512, 14)]
    assert [(m.shape[1], m.shape[2]) for m in maps] == shapes
    assert distances[0] == 0 < distances[1] < distances[2] < 2
