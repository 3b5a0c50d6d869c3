"""From sets of pictures to figures: each judge compares one way and states its protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgegan.console import progress
from edgegan.errors import InputError
from edgegan.evaluation.sets import PictureSet
from edgegan.metrics.extractors import FeatureExtractor, collect
from edgegan.metrics.frechet import frechet_distance, frechet_interval, kid, kid_interval
from edgegan.metrics.inception_score import inception_score, score_interval, softmax
from edgegan.metrics.networks import Network
from edgegan.metrics.perceptual import SMALLEST_SIDE, PerceptualNetwork, perceptual_distance
from edgegan.metrics.protocol import NORMAL, PERCENTILE, Figure, Protocol, mean_interval
from edgegan.metrics.quality import MS_SSIM_SIDE, WINDOW, ms_ssim, picture_psnr, psnr, ssim
from edgegan.metrics.segmentation import (
    PrecisionCurve,
    confusion,
    iou_interval,
    mean_iou,
    pixel_accuracy,
    segment,
)
from edgegan.metrics.statistics import Statistics

MOST_DB = 200.0  # PSNR of equal pictures, so that means and JSON stay finite
LARGE_VALUES = 1_000_000  # of a picture, whose squares are summed band by band
MEAN_REPEATS = 1000
SIDES = {"ssim": WINDOW, "ms_ssim": MS_SSIM_SIDE}  # the smallest side that a figure needs
PAIRED = {  # title, unit, settings
    "psnr": ("PSNR", "dB", "range [-1, 1], mean of the pictures'; 200 dB when equal"),
    "ssim": ("SSIM", "", "11x11 Gaussian, sigma 1.5, K 0.01 and 0.03, no padding"),
    "ms_ssim": ("MS-SSIM", "", "five scales, weights of Wang et al. 2003"),
}
PERCEPTUAL = (
    "perceptual distance",
    "",
    "unit-length features, mean of the taps, no learned weights",
)


@dataclass(frozen=True)
class Judge:
    """What all figures of one evaluation share."""

    split: str
    repeats: int
    seed: int = 0

    def protocol(
        self,
        metric: str,
        judged: PictureSet,
        reference: PictureSet | Statistics,
        **more: str | None,
    ) -> Protocol:
        """The protocol of one figure."""
        values = {"resize": judged.describe_resize(), "split": self.split} | more
        return Protocol(
            metric=metric,
            images=judged.name,
            reference=reference.name,
            count=len(judged),
            reference_count=0 if isinstance(reference, Statistics) else len(reference),
            **values,
        )


def figure(
    name: str,
    value: float,
    interval: tuple[float, float] | None,
    protocol: Protocol,
    *,
    unit: str = "",
    higher_is_better: bool,
) -> Figure:
    """A figure with its interval, or with a protocol that says there is none."""
    if interval is None:
        protocol = protocol.model_copy(update={"interval": "none"})
    low, high = interval or (None, None)
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        unit=unit,
        higher_is_better=higher_is_better,
        count=protocol.count,
        protocol=protocol,
    )


def paired_figures(
    judge: Judge, judged: PictureSet, reference: PictureSet, networks: Sequence[PerceptualNetwork]
) -> tuple[list[Figure], list[str]]:
    """PSNR, SSIM, multi-scale SSIM and perceptual distances, picture by picture; notes say what was left out."""
    values, smallest = paired_values(judged, reference, networks)
    by_name = {f"perceptual_{network.name}": network for network in networks}
    figures, notes = [], []
    for name, numbers in values.items():
        if len(numbers) < len(judged):
            notes.append(
                f"{name} left out: it needs sides of {SIDES.get(name, SMALLEST_SIDE)} pixels, "
                f"the smallest here is {smallest}"
            )
            continue
        eyes = by_name.get(name)
        title, unit, settings = PAIRED.get(name, PERCEPTUAL)
        protocol = judge.protocol(
            title,
            judged,
            reference,
            settings=settings,
            interval=PERCENTILE,
            network=eyes.name if eyes else None,
            weights_sha256=eyes.weights_sha256 if eyes else None,
        )
        interval = mean_interval(numbers, MEAN_REPEATS if judge.repeats else 0, judge.seed)
        higher = eyes is None
        mean = float(np.mean(numbers))
        figures.append(figure(name, mean, interval, protocol, unit=unit, higher_is_better=higher))
    return figures, notes


def paired_values(
    judged: PictureSet, reference: PictureSet, networks: Sequence[PerceptualNetwork]
) -> tuple[dict[str, list[float]], int]:
    """Each figure's value of every pair whose sides suffice for it, and the smallest side; raises InputError for a pair
    of two sizes."""
    values: dict[str, list[float]] = {"psnr": [], "ssim": [], "ms_ssim": []}
    values |= {f"perceptual_{network.name}": [] for network in networks}
    smallest = 1 << 30
    with progress("pair by pair", len(judged)) as bar, torch.inference_mode():
        for index in range(len(judged)):
            a, b = judged.tensor(index)[None], reference.tensor(index)[None]
            if a.shape != b.shape:
                raise InputError(
                    f"{judged.pictures.name(index)} has {a.shape[3]}x{a.shape[2]} pixels, its partner "
                    f"{b.shape[3]}x{b.shape[2]}; scale one of them, or give --size to crop both"
                )
            side = min(a.shape[2:])
            smallest = min(smallest, side)
            large = a[0].numel() > LARGE_VALUES
            found = (
                picture_psnr(a[0].numpy(), b[0].numpy()) if large else psnr(a.numpy(), b.numpy())
            )
            values["psnr"].append(min(MOST_DB, found))
            if side >= WINDOW:
                values["ssim"].append(ssim(a, b))
            if side >= MS_SSIM_SIDE:
                values["ms_ssim"].append(ms_ssim(a, b))
            if side >= SMALLEST_SIDE:
                for network in networks:
                    distance = float(perceptual_distance(network, a, b))
                    values[f"perceptual_{network.name}"].append(distance)
            bar.step(index + 1)
    return values, smallest


def distribution_figures(
    judge: Judge,
    suffix: str,
    judged: tuple[PictureSet, NDArray[np.float64]],
    reference: tuple[PictureSet, NDArray[np.float64]],
    extractor: FeatureExtractor,
) -> list[Figure]:
    """Frechet distance and KID of two sets with their features; `suffix` tells several pairs apart."""
    (pictures, a), (others, b) = judged, reference
    about = {
        "network": extractor.name,
        "weights_sha256": extractor.weights_sha256,
        "resize": f"{pictures.describe_resize()}, then {extractor.resize}",
        "interval": NORMAL,
    }
    epsilon = extractor.epsilon
    settings = f"{epsilon:g} added to covariances under the root" if epsilon else ""
    distance = frechet_distance(a, b, epsilon=epsilon)
    spread = frechet_interval(a, b, epsilon=epsilon, repeats=judge.repeats, seed=judge.seed)
    kernel = kid(a, b, seed=judge.seed)
    kernel_spread = kid_interval(a, b, kernel, repeats=judge.repeats, seed=judge.seed)
    title = judge.protocol(extractor.title, pictures, others, settings=settings, **about)
    kid_protocol = judge.protocol(
        "KID", pictures, others, settings="cubic kernel, unbiased, not multiplied", **about
    )
    return [
        figure(f"frechet{suffix}", distance, spread, title, higher_is_better=False),
        figure(f"kid{suffix}", kernel, kernel_spread, kid_protocol, higher_is_better=False),
    ]


def statistics_figure(
    judge: Judge,
    suffix: str,
    judged: tuple[PictureSet, NDArray[np.float64]],
    reference: Statistics,
    extractor: FeatureExtractor,
) -> Figure:
    """Frechet distance of a set with its features to the statistics of another."""
    pictures, features = judged
    value = reference.distance(features)
    spread = reference.interval(features, value, repeats=judge.repeats, seed=judge.seed)
    protocol = judge.protocol(
        extractor.title,
        pictures,
        reference,
        network=extractor.name,
        weights_sha256=extractor.weights_sha256,
        resize=f"{pictures.describe_resize()}, then {extractor.resize}",
        settings=f"statistics of sha256 {reference.sha256[:12]}, whose pictures and network are not known",
        interval=NORMAL + ", of the judged ones alone",
    )
    return figure(f"frechet{suffix}", value, spread, protocol, higher_is_better=False)


def features_of(extractor: FeatureExtractor, pictures: PictureSet) -> NDArray[np.float64]:
    """A set's features."""
    label = f"features of {pictures.name}"
    return collect(extractor.call, pictures.tensors(), len(pictures), label)


def score_figure(
    judge: Judge,
    judged: PictureSet,
    classify: Callable[[torch.Tensor], torch.Tensor],
    name: str,
    digest: str,
    suffix: str,
) -> Figure:
    """Inception score: ten splits, or one when there are fewer than a hundred pictures."""
    made = collect(classify, judged.tensors(), len(judged), f"classes of {judged.name}")
    if made.ndim != 2:
        raise InputError(f"classifier {name} must give (N, classes), not {made.shape}")
    sums = made.sum(1)
    probabilities = made if made.min() >= 0 and np.abs(sums - 1).max() < 1e-3 else softmax(made)
    splits = 10 if len(made) >= 100 else 1
    value, deviation = inception_score(probabilities, splits=splits)
    interval = score_interval(probabilities, value, splits=splits, repeats=judge.repeats)
    protocol = judge.protocol(
        "Inception score",
        judged,
        judged,
        network=name,
        weights_sha256=digest,
        settings=f"{splits} splits, standard deviation over them {deviation:.3g}",
        interval=NORMAL,
    ).model_copy(update={"reference": "nothing", "reference_count": 0})
    return figure(f"inception_score{suffix}", value, interval, protocol, higher_is_better=True)


def segmentation_figures(
    judge: Judge,
    judged: PictureSet,
    labels: Callable[[int], NDArray],
    network: Network,
    classes: int,
    ignore: int | None,
    suffix: str,
) -> list[Figure]:
    """Mean IoU, average precision and pixel accuracy of what a segmentation network sees, against label maps."""
    matrices = []
    curve = PrecisionCurve(classes)
    with progress(f"segmenting {judged.name}", len(judged)) as bar, torch.inference_mode():
        for index in range(len(judged)):
            truth = labels(index)
            probabilities = segment(network.call(judged.tensor(index)[None]), truth.shape)
            if len(probabilities) != classes:
                raise InputError(
                    f"segmentation network {network.name} gives {len(probabilities)} classes, not {classes}; "
                    "correct --classes"
                )
            matrices.append(confusion(probabilities.argmax(0), truth, classes, ignore))
            curve.add(probabilities, truth, ignore)
            bar.step(index + 1)
    total = np.sum(matrices, axis=0)
    ignored = f", label {ignore} ignored" if ignore is not None else ""
    settings = f"{classes} classes{ignored}, at the label map's size, over all pixels"
    interval = iou_interval(matrices, repeats=MEAN_REPEATS if judge.repeats else 0)
    per_picture = [pixel_accuracy(matrix) for matrix in matrices]
    rows = [
        ("miou", "mIoU", mean_iou(total), interval, NORMAL),
        (
            "average_precision",
            "average precision over pixels, mean of the classes'",
            curve.mean_precision(),
            None,
            "none",
        ),
        (
            "pixel_accuracy",
            "pixel accuracy, mean of the pictures'",
            float(np.mean(per_picture)),
            mean_interval(per_picture, MEAN_REPEATS if judge.repeats else 0),
            PERCENTILE,
        ),
    ]
    figures = []
    for name, title, value, spread, how in rows:
        protocol = judge.protocol(
            title,
            judged,
            judged,
            network=network.name,
            weights_sha256=network.sha256,
            settings=settings,
            interval=how,
        ).model_copy(update={"reference": "their label maps"})
        figures.append(figure(name + suffix, value, spread, protocol, higher_is_better=True))
    return figures
