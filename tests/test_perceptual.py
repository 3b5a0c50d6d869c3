"""The perceptual term: networks recognised from their keys, distance zero for equal pictures, gradient to one side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgegan.errors import CheckpointError
from edgegan.models.perceptual import VGG_STAGES, Squeezenet, Vgg, open_perceptual


def test_vgg_taps_are_the_first_activations_of_the_stages() -> None:
    with torch.device("meta"):
        assert Vgg(VGG_STAGES[13]).taps == [1, 6, 11, 18, 25]
        assert Vgg(VGG_STAGES[16]).taps == [1, 6, 11, 20, 29]


def test_vgg_file_with_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {**Vgg(VGG_STAGES[13]).half().state_dict(), "classifier.0.weight": torch.zeros(4, 4)}
    torch.save(state, tmp_path / "vgg16.pth")
    distance = open_perceptual(tmp_path / "vgg16.pth")
    made = torch.rand(1, 3, 32, 32, requires_grad=True)
    assert float(distance(made, made.detach()).detach()) == 0
    distance(made, torch.rand(1, 3, 32, 32)).backward()
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_torchvision_squeezenet(tmp_path: Path) -> None:
    """torchvision's names, random weights: the same network."""
    torch.manual_seed(0)
    network = Squeezenet(caffe=False).eval()
    places = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
    state = {}
    for key, value in network.state_dict().items():
        parts = key.split(".")
        place = 0 if parts[0] == "conv1" else places[int(parts[1].removeprefix("fire"))]
        rest = parts[1:] if parts[0] == "conv1" else parts[2:]
        state[".".join(["features", str(place), *rest])] = value
    torch.save(state, tmp_path / "squeezenet.pth")
    found = open_perceptual(tmp_path / "squeezenet.pth")
    x = torch.rand(1, 3, 64, 64)
    for ours, theirs in zip(found.network(x), network(x), strict=True):
        assert torch.equal(ours, theirs)


def test_caffe_squeezenet(data_folder: Path) -> None:
    distance = open_perceptual(data_folder / "weights/squeezenet1_1_caffe_features_fp16.pth")
    torch.manual_seed(0)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    near, far = distance(x + 0.02, x), distance(-x, x)
    assert 0 < float(near) < float(far)


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="none of VGG16, VGG19 and SqueezeNet"):
        open_perceptual(tmp_path / "other.pth")
