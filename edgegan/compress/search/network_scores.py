"""What a judging network says of sub-networks on the search images: Frechet distance, KID, mean IoU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgegan.compress.fidelity import Runner, compared
from edgegan.compress.job import Job
from edgegan.compress.teacher.cache import Cache
from edgegan.data.images import center_crop, fingerprint, list_images, read_image
from edgegan.data.stored import load_pictures, store_picture
from edgegan.errors import ConfigError, InputError
from edgegan.files import sha256_file
from edgegan.metrics.extractors import BATCH, open_extractor
from edgegan.metrics.frechet import Features, frechet_distance, kid
from edgegan.metrics.networks import Network
from edgegan.metrics.segmentation import confusion, mean_iou, segment
from edgegan.metrics.statistics import is_statistics, no_kid, read_statistics
from edgegan.models.segmenters import open_segmenter
from edgegan.package import PackageConfig
from edgegan.recipe.data_section import Data
from edgegan.recipe.schema import Recipe
from edgegan.recipe.search_section import LOWER_IS_BETTER, NETWORK_FITNESS, Search

Measure = Callable[[Runner], float]
Stored = NDArray[np.uint8]
RGB = 3


@dataclass(frozen=True)
class Score:
    """What a search goes by, higher is better: its name with what it compares, and the score of a sub-network."""

    title: str
    of: Measure


def check_judge(recipe: Recipe, config: PackageConfig) -> None:
    """Raises ConfigError or InputError at once for what would stop the search after the training."""
    search, fitness = recipe.search, recipe.search.fitness
    if fitness not in NETWORK_FITNESS:
        return
    if search.network is None:
        what = (
            "a segmentation network"
            if fitness == "miou"
            else "Inception weights or a network of features"
        )
        raise ConfigError(
            f"search.fitness {fitness} needs {what}: give --set search.network=FILE, or another search.fitness"
        )
    if not search.network.exists():
        raise InputError(f"search.network {search.network} does not exist")
    if fitness == "miou" and recipe.data.kind != "labels":
        raise ConfigError(f"search.fitness miou needs label maps: data.kind is {recipe.data.kind}")
    if config.output.channels != RGB:
        raise ConfigError(
            f"search.fitness {fitness} judges RGB pictures; the teacher makes {config.output.channels} channels"
        )
    if search.reference is None:
        return
    if not is_statistics(search.reference):
        list_images(search.reference)
    elif fitness == "kid":
        raise no_kid(search.reference)
    else:
        read_statistics(search.reference)


def judge_inputs(search: Search) -> dict[str, Any]:
    """What the scores depend on beside the sub-networks, for hashes."""
    if search.fitness not in NETWORK_FITNESS or search.network is None:
        return {}
    network = search.network if search.network.is_file() else search.network / "config.json"
    reference = []
    if search.reference is not None:
        given = [search.reference] if is_statistics(search.reference) else None
        reference = fingerprint(given or list_images(search.reference))
    return {"network": sha256_file(network), "reference": reference}


@contextlib.contextmanager
def open_score(job: Job, *, needed: bool) -> Iterator[Score | None]:
    """The score of a recipe's search by a network; None where it goes by none, or nothing is to be scored."""
    search, data = job.recipe.search, job.recipe.data
    if search.fitness not in NETWORK_FITNESS or not needed:
        yield None
        return
    sign = -1 if search.fitness in LOWER_IS_BETTER else 1
    opened = segmented if search.fitness == "miou" else distanced
    with opened(search, data, job.cache, job.device) as score:
        yield Score(score.title, lambda run: sign * score.of(run))


@contextlib.contextmanager
def distanced(search: Search, data: Data, cache: Cache, device: torch.device) -> Iterator[Score]:
    """The distance of the pictures made of the search images to the reference, in the features of a network."""
    known = None
    if search.reference is not None and is_statistics(search.reference):
        known, named = read_statistics(search.reference), f"those of {search.reference}"
    else:
        pictures, where = reference_pictures(search, data, cache)
        named = f"{len(pictures)} of {where}"
    with open_extractor(search.network) as extractor:
        title = extractor.title if search.fitness == "fid" else f"KID ({extractor.name})"
        about = f"of {len(cache.search_inputs)} pictures to {named}, lower is better"
        theirs = None if known else stored_features(extractor.call, pictures)

        def measure(run: Runner) -> float:
            ours = stored_features(extractor.call, made_pictures(run, cache, device))
            if known is not None:
                return known.distance(ours)
            assert theirs is not None
            if search.fitness == "kid":
                return kid(ours, theirs)
            return frechet_distance(ours, theirs, epsilon=extractor.epsilon)

        yield Score(f"{title} {about}", measure)


@contextlib.contextmanager
def segmented(search: Search, data: Data, cache: Cache, device: torch.device) -> Iterator[Score]:
    """The mean IoU of what a segmentation network sees with the label maps of the search images."""
    assert search.network is not None
    with open_segmenter(search.network) as network:
        card, given = network.card, data.classes or 0
        translated = card.translates(given)
        classes = len(card.classes) if translated else given
        ignore = card.ignore if translated or data.unlabelled is None else classes
        last = [card.ignore or 0] * (given + 1 - len(card.of_labels))  # unlabelled pixels
        table = np.array([*card.of_labels, *last])

        def measure(run: Runner) -> float:
            made = made_pictures(run, cache, device)
            seen = [classes_seen(network, each, classes) for each in made]
            truths = [stored[0].astype(np.int64) for stored in cache.search_inputs]
            truths = [table[each] for each in truths] if translated else truths
            pairs = zip(seen, truths, strict=True)
            matrices = [confusion(*pair, classes, ignore) for pair in pairs]
            return mean_iou(np.sum(matrices, axis=0))

        title = f"mIoU ({network.name}) of {len(cache.search_inputs)} pictures, {classes} classes"
        yield Score(title, measure)


def classes_seen(network: Network, picture: Stored, classes: int) -> NDArray[np.int64]:
    """The class of every pixel of a picture (3, H, W), by a segmentation network: (H, W)."""
    height, width = picture.shape[1:]
    with torch.inference_mode():
        seen = segment(network.call(loaded(picture[None])), (height, width))
    if len(seen) != classes:
        raise InputError(
            f"segmentation network {network.name} gives {len(seen)} classes, data.classes is {classes}"
        )
    return seen.argmax(0)


def made_pictures(run: Runner, cache: Cache, device: torch.device) -> Stored:
    """What a sub-network makes of the search images, as files would keep it: (N, 3, H, W) uint8."""
    made = compared(run, cache, device, "search", None)
    return np.stack([store_picture(y[0].float().numpy()) for _, y, _ in made])


def reference_pictures(search: Search, data: Data, cache: Cache) -> tuple[Stored, str]:
    """What made pictures are held against, (N, 3, H, W) uint8, and what it is: the folder that is given, else the true
    pictures of the search images, else those of the target domain, else the teacher's."""
    if search.reference is not None:
        files = list_images(search.reference)
        cropped = [center_crop(read_image(path), data.size, data.resize) for path in files]
        return np.stack(cropped).transpose(0, 3, 1, 2), str(search.reference)
    if len(cache.search_truths):
        return cache.search_truths, "the truth"
    if len(cache.reals):
        return cache.reals, "the target domain"
    outputs = np.asarray(cache.search_outputs, np.float32)
    return np.stack([store_picture(each) for each in outputs]), "the teacher's"


def stored_features(call: Callable[[torch.Tensor], torch.Tensor], pictures: Stored) -> Features:
    """The features of pictures."""
    with torch.inference_mode():
        rows = [
            call(loaded(pictures[start : start + BATCH])).float().cpu()
            for start in range(0, len(pictures), BATCH)
        ]
    return torch.cat(rows).double().numpy()


def loaded(stored: Stored) -> torch.Tensor:
    """Kept pictures in [-1, 1]."""
    return load_pictures(torch.from_numpy(np.array(stored)))
