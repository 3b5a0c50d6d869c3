"""The perceptual term: distance in the features of a network that the user brings as a weights file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.errors import CheckpointError
from edgegan.models.reading import State, read_state

Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in [0, 1]
CAFFE_MEAN = (103.939, 116.779, 123.68)  # of ImageNet, BGR in [0, 255]
VGG_STAGES = {13: (2, 2, 3, 3, 3), 16: (2, 2, 4, 4, 4)}  # by number of convolutions
VGG_WIDTHS = (64, 128, 256, 512, 512)
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # relu1_1 to relu5_1 (Wang et al. 2018)
FIRES = {2: (64, 16), 3: (128, 16), 4: (128, 32), 5: (256, 32)} | {
    6: (256, 48),
    7: (384, 48),
    8: (384, 64),
    9: (512, 64),
}  # channels in, and after the squeeze; expansions are four times the latter
TORCHVISION_FIRES = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}


class Vgg(nn.Module):
    """(N, 3, H, W) in [-1, 1] -> the first activation of each of the five stages of VGG16 or VGG19."""

    def __init__(self, stages: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        before = 3
        for index, (count, width) in enumerate(zip(stages, VGG_WIDTHS, strict=True)):
            self.taps.append(len(layers) + 1)
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            if index < len(stages) - 1:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        mean, deviation = (x.new_tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        x, found = ((x + 1) / 2 - mean) / deviation, []
        for index in range(self.taps[-1] + 1):
            x = self.features[index](x)
            if index in self.taps:
                found.append(x)
        return found


class Fire(nn.Module):
    """SqueezeNet's module: a 1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, before: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, 4 * squeezed, 1)
        self.expand3x3 = nn.Conv2d(squeezed, 4 * squeezed, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, before, H, W) -> (N, 8 squeezed, H, W)."""
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class Squeezenet(nn.Module):
    """(N, 3, H, W) in [-1, 1] -> activations of the first layer of SqueezeNet 1.1 and of fire modules 3, 5, 7, 9.

    `caffe`: the weights want BGR in 0..255 less its mean, as Caffe feeds it, not torchvision's RGB.
    """

    def __init__(self, caffe: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.fires = nn.ModuleDict({f"fire{i}": Fire(*FIRES[i]) for i in FIRES})
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.caffe = caffe

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        if self.caffe:
            x = (x.flip(1) + 1) * 127.5 - x.new_tensor(CAFFE_MEAN).view(1, 3, 1, 1)
        else:
            mean, deviation = (x.new_tensor(v).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
            x = ((x + 1) / 2 - mean) / deviation
        x = F.relu(self.conv1(x))
        found = [x]
        for index in FIRES:
            x = self.fires[f"fire{index}"](self.pool(x) if index in (2, 4, 6) else x)
            if index % 2:
                found.append(x)
        return found


class PerceptualDistance(nn.Module):
    """Weighted sum over taps of the mean absolute difference of a frozen network's features.

    `relative`: each tap's difference is divided by the mean absolute value of the wanted picture's features there, so
    that taps of any network weigh alike.
    """

    def __init__(self, network: nn.Module, weights: tuple[float, ...], *, relative: bool) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.weights, self.relative = weights, relative

    def forward(self, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) in [-1, 1]; the gradient goes to `made`."""
        with torch.no_grad():
            theirs = self.network(wanted)
        total = made.new_zeros(())
        for weight, a, b in zip(self.weights, self.network(made), theirs, strict=True):
            distance = F.l1_loss(a, b)
            if self.relative:
                distance = distance / b.abs().mean().clamp_min(1e-6)
            total = total + weight * distance
        return total


def open_perceptual(path: Path) -> PerceptualDistance:
    """The perceptual term of a weights file, recognised from its keys: VGG16 or VGG19 (torchvision names; the published
    weights of the five stages), SqueezeNet 1.1 (torchvision or Caffe names; taps relative and alike).

    Raises CheckpointError or InputError naming the file.
    """
    state = {key: value.float() for key, value in read_state(path).items()}
    convolutions = [k for k, v in state.items() if k.startswith("features.") and v.dim() == 4]
    network: nn.Module
    if "fire2.squeeze1x1.weight" in state or "features.3.squeeze.weight" in state:
        caffe = "fire2.squeeze1x1.weight" in state
        network = Squeezenet(caffe)
        state = squeezenet_names(state)
        weights, relative = (0.2,) * 5, True
    elif len(convolutions) in VGG_STAGES:
        network = Vgg(VGG_STAGES[len(convolutions)])
        state = {key: value for key, value in state.items() if key.startswith("features.")}
        weights, relative = VGG_WEIGHTS, False
    else:
        raise CheckpointError(
            f"{path} is none of VGG16, VGG19 and SqueezeNet 1.1: its first key is '{next(iter(state))}'"
        )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights do not fit ({error})") from error
    return PerceptualDistance(network, weights, relative=relative)


def squeezenet_names(state: State) -> State:
    """Caffe's or torchvision's names of SqueezeNet 1.1 as ours; a classifier is left out."""
    renamed: State = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "features":
            fire = TORCHVISION_FIRES.get(int(parts[1]))
            start = ["conv1"] if fire is None else ["fires", f"fire{fire}"]
            parts = [*start, *parts[2:]]
        elif parts[0].startswith("fire"):
            parts = ["fires", *parts]
        elif parts[0] != "conv1":
            continue
        renamed[".".join(parts).replace("squeeze1x1", "squeeze")] = value
    return renamed
