"""Feature extractors by name: what the Frechet distance, KID and the Inception score look through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from edgegan.console import progress
from edgegan.errors import ConfigError, InputError, nearest
from edgegan.files import sha256_file
from edgegan.metrics.download import INCEPTION_URL, fetch
from edgegan.metrics.inception import SIDE, check_reach, inception_features, read_inception
from edgegan.metrics.networks import SUFFIXES, open_network

DIMENSIONS = {"inception-2048": 2048, "inception-1280": 1280, "inception-768": 768}
EXTRACTORS = (*DIMENSIONS, "network")
FID_SHA256 = "6726825d"  # only these weights at 2048 dimensions make a Frechet distance an FID
BATCH = 8


@dataclass(frozen=True)
class FeatureExtractor:
    """A named network: `call` takes (N, 3, H, W) RGB in [-1, 1] and gives (N, dimensions).

    `title` is what a Frechet distance through it is called; `epsilon` is added to covariances under the root.
    """

    name: str
    title: str
    resize: str
    weights_sha256: str
    epsilon: float
    call: Callable[[torch.Tensor], torch.Tensor]


@contextlib.contextmanager
def open_extractor(
    path: Path | None,
    name: str | None = None,
    *,
    download: bool = False,
    threads: int = 1,
    clean: bool = False,
) -> Iterator[FeatureExtractor]:
    """The extractor `name` with the weights at `path`, or fetched when `download` is set.

    Without a name: a TorchScript or ONNX file is a network, Inception weights give 2048 dimensions when they
    reach so far, else 768. `clean`: Inception sees pictures as clean-fid scales them.
    Raises ConfigError, InputError or CheckpointError.
    """
    if name is not None and name not in EXTRACTORS:
        raise ConfigError(
            f"unknown feature extractor '{name}'{nearest(name, EXTRACTORS)}; choose from {', '.join(EXTRACTORS)}"
        )
    if path is None:
        if not download or name == "network":
            raise ConfigError(
                "a Frechet distance or KID needs the weights of its network: give their path, "
                f"or ask for a download of {INCEPTION_URL}"
            )
        path = fetch(INCEPTION_URL)
    if name == "network" or (name is None and path.suffix.lower() in SUFFIXES):
        with open_network(path, threads=threads) as network:
            yield FeatureExtractor(
                network.name,
                f"Frechet ({network.name})",
                f"{network.card.size[0]}x{network.card.size[1]} bilinear, antialiased"
                if network.card.size
                else "none",
                network.sha256,
                1e-6,
                lambda x: pooled(network.call(x)),
            )
        return
    yield inception_extractor(path, name, clean=clean)


def inception_extractor(
    path: Path, name: str | None = None, *, clean: bool = False
) -> FeatureExtractor:
    """An Inception extractor; without a name, the deepest of 2048 and 768 dimensions that the weights reach."""
    weights = read_inception(path)
    if name is None:
        name = "inception-2048" if "mixed_10_conv.weight" in weights else "inception-768"
    dimensions = DIMENSIONS[name]
    check_reach(weights, dimensions, path)
    digest = sha256_file(path)
    fid = dimensions == 2048 and digest.startswith(FID_SHA256)
    squared = clean_square if clean else to_square
    title = "FID" if fid else f"Frechet-{dimensions}"
    how = (
        "bicubic, antialiased, in floating point, as clean-fid"
        if clean
        else "bilinear, not antialiased, as pytorch-fid"
    )
    return FeatureExtractor(
        name,
        f"clean {title}" if clean else title,
        f"{SIDE}x{SIDE} {how}",
        digest,
        0.0 if fid else 1e-6,
        lambda x: inception_features(weights, squared(x), dimensions),
    )


def clean_square(x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] as clean-fid scales 8-bit pictures to 299x299 (Parmar et al. 2022): Pillow's antialiased
    bicubic filter on floating point, cut to 0..255, then (v - 128) / 128."""
    made = torch.empty(len(x), x.shape[1], SIDE, SIDE)
    for planes, target in zip(((x + 1) * 127.5).round().numpy(), made, strict=True):
        for plane, place in zip(planes, target, strict=True):
            scaled = Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            place.copy_(torch.from_numpy(np.array(scaled)).clamp(0, 255))
    return (made - 128) / 128


def to_square(x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) scaled to Inception's 299x299 as the FID protocol does."""
    if tuple(x.shape[2:]) == (SIDE, SIDE):
        return x
    return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)


def pooled(made: torch.Tensor) -> torch.Tensor:
    """(N, D), or (N, D, h, w) averaged over its places."""
    if made.ndim == 4:
        return made.mean((2, 3))
    if made.ndim == 2:
        return made
    raise InputError(
        f"a feature network must give (N, D) or (N, D, h, w), not {tuple(made.shape)}; export it cut off there"
    )


def collect(
    call: Callable[[torch.Tensor], torch.Tensor],
    pictures: Iterable[torch.Tensor],
    count: int,
    label: str,
) -> NDArray[np.float64]:
    """What `call` makes of `count` pictures (3, H, W) in [-1, 1], stacked; equal sizes go in batches of eight."""
    rows: list[torch.Tensor] = []
    batch: list[torch.Tensor] = []

    def run_batch() -> None:
        if batch:
            rows.append(call(torch.stack(batch)).float().cpu())
            batch.clear()

    with progress(label, count) as bar, torch.inference_mode():
        for index, picture in enumerate(pictures):
            if batch and (len(batch) == BATCH or batch[0].shape != picture.shape):
                run_batch()
            batch.append(picture)
            bar.step(index + 1)
        run_batch()
    if not rows:
        raise InputError("there are no pictures to look at")
    return torch.cat(rows).double().numpy()


def inception_logits(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """The FID network's class logits without its bias, as the Inception score takes them: (N, 3, H, W) to (N, 1008).

    Raises CheckpointError when the weights end before the classifier.
    """
    weights = read_inception(path)
    check_reach(weights, 2048, path)
    if "fc.weight" not in weights:
        raise InputError(f"{path} has no classifier ('fc.weight'); use pytorch-fid's weights")
    extract = partial(inception_features, weights, dimensions=2048)
    return lambda x: extract(to_square(x)) @ weights["fc.weight"].T
