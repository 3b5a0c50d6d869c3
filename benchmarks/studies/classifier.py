"""Trains a small classifier on labelled pictures, so that generators from noise can be given an Inception score.

usage: python -m edgegan.benchmarks.studies.classifier PICTURES.npz [-o FILE.pt] [--seconds 120]

PICTURES.npz holds images (N, H, W, 3) uint8, labels (N,) and classes (names), such as CIFAR-10. Every tenth picture is
held out. Written: a TorchScript network and its card, which `edgegan evaluate --classifier FILE.pt` reads. The score
depends on the classifier: compare figures of one network only.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edgegan.benchmarks.studies.train_segmenter import Residual, save, train_for, unit
from edgegan.console import emit
from edgegan.data.images import from_stored

BATCH = 64
WIDTHS = (32, 64, 128)
SHIFT = 4
HELD_OUT = 10


class Classifier(nn.Sequential):
    """(N, 3, H, W) in [-1, 1] -> (N, classes) scores."""

    def __init__(self, classes: int) -> None:
        wide, middle, narrow = reversed(WIDTHS)
        super().__init__(
            *(unit(3, narrow), Residual(narrow, 1), unit(narrow, middle, stride=2)),
            *(Residual(middle, 1), unit(middle, wide, stride=2), Residual(wide, 1)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, classes)),
        )


def sample(pixels: torch.Tensor, chance: random.Random) -> tuple[torch.Tensor, list[int]]:
    """A batch, shifted by up to four pixels and half of it mirrored, and which pictures it is of."""
    chosen = [chance.randrange(len(pixels)) for _ in range(BATCH)]
    x = F.pad(pixels[chosen], (SHIFT,) * 4, mode="reflect")
    top, left = chance.randint(0, 2 * SHIFT), chance.randint(0, 2 * SHIFT)
    x = x[..., top : top + pixels.shape[2], left : left + pixels.shape[3]]
    flips = torch.tensor([chance.random() < 0.5 for _ in chosen])
    return torch.where(flips[:, None, None, None], x.flip(3), x), chosen


def train(pixels: torch.Tensor, labels: torch.Tensor, classes: int, seconds: float) -> Classifier:
    """Trains for so long."""
    torch.manual_seed(0)
    chance, network = random.Random(0), Classifier(classes)

    def loss_of_batch() -> torch.Tensor:
        x, chosen = sample(pixels, chance)
        return F.cross_entropy(network(x), labels[chosen], label_smoothing=0.1)

    train_for(network, seconds, 1e-2, "classifier", loss_of_batch)
    return network.eval()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/classifier.pt"))
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    with np.load(options.data) as found:
        names = [str(name) for name in found["classes"]]
        pixels = torch.from_numpy(
            np.ascontiguousarray(from_stored(found["images"]).transpose(0, 3, 1, 2))
        )
        labels = torch.from_numpy(found["labels"].astype(np.int64))
    held = torch.arange(len(pixels)) % HELD_OUT == 0
    network = train(pixels[~held], labels[~held], len(names), options.seconds)
    with torch.inference_mode():
        right = (network(pixels[held]).argmax(1) == labels[held]).float().mean().item()
    about = f"accuracy {right:.3f} on {int(held.sum())} held-out pictures"
    card: dict[str, object] = {
        "name": "small-classifier",
        "classes": names,
        "size": list(pixels.shape[2:]),
        "source": {"data": options.data.name, "held_out": about},
    }
    save(network, options.output, pixels[:1], card)
    emit(f"{options.output}: {about}")


if __name__ == "__main__":
    main()
