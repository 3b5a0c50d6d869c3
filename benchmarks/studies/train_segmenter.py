"""Trains a small segmentation network on photographs with label maps, so that label-to-photo generators can be judged.

usage: python -m edgegan.benchmarks.studies.train_segmenter DATA [-o FILE.pt] [--seconds 300] [--classes 12]
       [--ignore 11]

DATA holds train/photo, train/label, val/photo and val/label (index pictures of the same names), such as CamVid at
256x192. Written: a TorchScript network that takes RGB at any size, and FILE.pt.json, its card, which
`edgegan evaluate --segmentation FILE.pt` reads. Needs torch; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edgegan.console import emit, progress
from edgegan.data.datasets import match
from edgegan.data.images import from_stored, list_images, read_image
from edgegan.data.labels import read_labels
from edgegan.files import write_atomic, write_json
from edgegan.metrics.segmentation import class_iou, confusion, mean_iou, pixel_accuracy

CAMVID = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabelled",
]
BATCH = 4
LEARNING_RATE = 2e-3
WIDTHS = (16, 32, 64)
DILATIONS = (1, 2, 4, 8)


class Residual(nn.Module):
    """Two dilated 3x3 convolutions around a shortcut."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = unit(width, width, dilation=dilation)
        self.second = unit(width, width, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width, h, w) to the same."""
        return x + self.second(self.first(x))


def unit(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Segmenter(nn.Module):
    """(N, 3, H, W) in [-1, 1] -> (N, classes, H', W') scores at a size that is a multiple of four."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.stem = unit(3, half, stride=2)
        self.quarter = nn.Sequential(unit(half, quarter, stride=2), Residual(quarter, 1))
        self.eighth = nn.Sequential(
            unit(quarter, eighth, stride=2), *(Residual(eighth, d) for d in DILATIONS)
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(eighth, eighth, 1))
        self.merge = unit(eighth + quarter, 48)
        self.score = nn.Conv2d(48, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        quarter = self.quarter(self.stem(x))
        deep = self.eighth(quarter)
        deep = deep + self.whole(deep)
        deep = F.interpolate(deep, quarter.shape[2:], mode="bilinear", align_corners=False)
        scores = self.score(self.merge(torch.cat([deep, quarter], 1)))
        return F.interpolate(scores, scale_factor=4.0, mode="bilinear", align_corners=False)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Photos (N, H, W, 3) uint8 and labels (N, H, W) uint8 of one split."""
    photos, labels = folder / "photo", folder / "label"
    inputs, found = match(list_images(photos), photos, list_images(labels), labels)
    pixels = np.stack([read_image(path) for path in inputs])
    return pixels, np.stack([read_labels(path).astype(np.uint8) for path in found])


def sample(
    photos: np.ndarray, labels: np.ndarray, chance: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch: random crops of three quarters to all of a picture, half of them mirrored, at the pictures' size."""
    height, width = labels.shape[1:]
    inputs, truths = [], []
    for _ in range(BATCH):
        index, scale = chance.randrange(len(photos)), chance.uniform(0.75, 1)
        tall, wide = round(height * scale), round(width * scale)
        top, left = chance.randint(0, height - tall), chance.randint(0, width - wide)
        photo = photos[index, top : top + tall, left : left + wide]
        label = labels[index, top : top + tall, left : left + wide]
        if chance.random() < 0.5:
            photo, label = photo[:, ::-1], label[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray(from_stored(photo).transpose(2, 0, 1)))[None]
        inputs.append(F.interpolate(x, (height, width), mode="bilinear", align_corners=False))
        y = torch.from_numpy(label.astype(np.float32))[None, None]
        truths.append(F.interpolate(y, (height, width), mode="nearest")[0].long())
    return torch.cat(inputs), torch.cat(truths)


def class_weights(labels: np.ndarray, classes: int, ignore: int | None) -> torch.Tensor:
    """1 / ln(1.02 + share of pixels) of each class, 0 for the ignored one (Paszke et al. 2016)."""
    counts = np.bincount(labels.ravel(), minlength=classes)[:classes].astype(np.float64)
    if ignore is not None and ignore < classes:
        counts[ignore] = 0
    weights = 1 / np.log(1.02 + counts / counts.sum())
    return torch.from_numpy(np.where(counts > 0, weights, 0)).float()


def train(
    photos: np.ndarray, labels: np.ndarray, classes: int, ignore: int | None, seconds: float
) -> tuple[Segmenter, int]:
    """Trains for so long; returns the network and the steps it made."""
    torch.manual_seed(0)
    chance = random.Random(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Segmenter(classes).to(device)
    weights = class_weights(labels, classes, ignore).to(device)

    def loss_of_batch() -> torch.Tensor:
        x, y = sample(photos, labels, chance)
        y = y.to(device)
        if ignore is not None:
            y[y == ignore] = -100
        return F.cross_entropy(network(x.to(device)), y, weights)

    steps = train_for(network, seconds, 1e-4, "segmentation", loss_of_batch)
    return network.cpu().eval(), steps


def train_for(
    network: nn.Module,
    seconds: float,
    weight_decay: float,
    title: str,
    loss_of_batch: Callable[[], torch.Tensor],
) -> int:
    """Trains for so long (AdamW, cosine learning rate over time); returns the steps it made."""
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=weight_decay)
    began, step = time.monotonic(), 0
    with progress(f"{title}, seconds", math.ceil(seconds)) as bar:
        while (elapsed_s := time.monotonic() - began) < seconds:
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * elapsed_s / seconds)) / 2
            loss = loss_of_batch()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            bar.step(round(elapsed_s), f"step {step}, loss {loss.item():.3f}")
    return step


def judge(
    network: Segmenter, photos: np.ndarray, labels: np.ndarray, classes: int, ignore: int | None
) -> np.ndarray:
    """Confusion matrix on held-out photos."""
    total = np.zeros((classes, classes), np.int64)
    with torch.inference_mode():
        for photo, truth in zip(photos, labels, strict=True):
            x = torch.from_numpy(np.ascontiguousarray(from_stored(photo).transpose(2, 0, 1)))[None]
            total += confusion(network(x)[0].argmax(0).numpy(), truth, classes, ignore)
    return total


def save(network: nn.Module, path: Path, example: torch.Tensor, card: dict[str, object]) -> None:
    """TorchScript and its card."""
    import io

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network, example_inputs=[(example,)]), buffer)
    write_atomic(path, buffer.getvalue())
    write_json(path.with_name(path.name + ".json"), card)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/segmentation.pt"))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--classes", type=int, default=len(CAMVID))
    parser.add_argument("--ignore", type=int, default=11)
    options = parser.parse_args()
    photos, labels = load(options.data / "train")
    held_photos, held_labels = load(options.data / "val")
    network, steps = train(photos, labels, options.classes, options.ignore, options.seconds)
    matrix = judge(network, held_photos, held_labels, options.classes, options.ignore)
    names = (
        CAMVID if options.classes == len(CAMVID) else [f"class{i}" for i in range(options.classes)]
    )
    accuracy = f"mIoU {mean_iou(matrix):.3f}, pixel accuracy {pixel_accuracy(matrix):.3f}"
    card = {
        "name": "small-segmenter",
        "classes": names,
        "ignore": options.ignore,
        "source": {
            "data": f"{options.data.name}, {len(photos)} training photos",
            "training": f"{steps} steps of {BATCH} in {options.seconds:g} s",
            "held_out": f"{accuracy} on {len(held_photos)} photos",
        },
    }
    save(network, options.output, torch.zeros(1, 3, *labels.shape[1:]), card)
    for name, value in zip(names, class_iou(matrix), strict=True):
        emit(f"  {name:12} {value:.3f}")
    emit(f"{options.output}: {steps} steps, {accuracy} on {len(held_photos)} held-out photos")


if __name__ == "__main__":
    main()
