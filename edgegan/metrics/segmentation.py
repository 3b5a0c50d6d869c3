"""Label-to-photo generators judged by a segmentation network: does it see in the photo what the label map asked for?"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgegan.errors import InputError
from edgegan.metrics.protocol import spread_interval

Labels = NDArray[np.integer]
Matrix = NDArray[np.int64]
SCORE_BINS = 1000


def confusion(predicted: Labels, truth: Labels, classes: int, ignore: int | None = None) -> Matrix:
    """(classes, classes) pixel counts, rows the true class, columns the predicted one; `ignore` pixels do not count.

    Raises InputError for maps of different sizes and for a label that is no class.
    """
    if predicted.shape != truth.shape:
        raise InputError(f"label maps of sizes {predicted.shape} and {truth.shape} do not match")
    counted = truth != ignore if ignore is not None else np.ones(truth.shape, bool)
    rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    for name, values in (("label map", rows), ("prediction", columns)):
        if len(values) and (values.min() < 0 or values.max() >= classes):
            wrong = int(values.min()) if values.min() < 0 else int(values.max())
            raise InputError(
                f"the {name} holds class {wrong}, but classes are 0 to {classes - 1}; "
                "state the number of classes, or the label to ignore"
            )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes)


def class_iou(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN for one that is neither true nor predicted anywhere."""
    hits = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(matrix: Matrix) -> float:
    """Mean IoU, which Li et al. 2020 first called mAP: over classes that occur; raises InputError when no pixel
    counted."""
    if matrix.sum() == 0:
        raise InputError("no pixel counts: every label is the ignored one")
    return float(np.nanmean(class_iou(matrix)))


def pixel_accuracy(matrix: Matrix) -> float:
    """Share of counted pixels that are predicted right."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def iou_interval(
    matrices: list[Matrix], *, repeats: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """mIoU plus and minus 1.96 bootstrap standard errors, from one confusion matrix a picture."""
    stacked = np.stack(matrices)
    count = len(stacked)
    return spread_interval(
        mean_iou(stacked.sum(0)),
        lambda first, _: mean_iou(stacked[first].sum(0)),
        (count, count),
        repeats,
        seed,
    )


class PrecisionCurve:
    """Average precision of every class over pixels, from histograms of scores, so that memory does not grow."""

    def __init__(self, classes: int) -> None:
        self.right = np.zeros((classes, SCORE_BINS), np.int64)
        self.every = np.zeros((classes, SCORE_BINS), np.int64)

    def add(
        self, probabilities: NDArray[np.floating], truth: Labels, ignore: int | None = None
    ) -> None:
        """Counts one picture: probabilities (classes, H, W) and its label map (H, W)."""
        counted = truth != ignore if ignore is not None else np.ones(truth.shape, bool)
        labels = truth[counted]
        for index, scores in enumerate(probabilities):
            bins = np.minimum((scores[counted] * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
            self.every[index] += np.bincount(bins, minlength=SCORE_BINS)
            self.right[index] += np.bincount(bins[labels == index], minlength=SCORE_BINS)

    def class_precision(self) -> NDArray[np.float64]:
        """Average precision of each class: precision times gained recall, summed over thresholds; NaN when absent."""
        right = self.right[:, ::-1].cumsum(1)
        every = self.every[:, ::-1].cumsum(1)
        total = right[:, -1:]
        precision = right / np.maximum(every, 1)
        gained = np.diff(right, axis=1, prepend=0)
        summed = (precision * gained).sum(1)
        return np.where(total[:, 0] > 0, summed / np.maximum(total[:, 0], 1), np.nan)

    def mean_precision(self) -> float:
        """Average precision: the mean over classes that occur. It is not what Li et al. 2020 first called mAP, which is
        mean IoU."""
        values = self.class_precision()
        if np.isnan(values).all():
            raise InputError("no pixel counts: every label is the ignored one")
        return float(np.nanmean(values))


def segment(logits: torch.Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """(1, K, h, w) class scores to probabilities (K, H, W) at the label map's size, bilinear; raises InputError."""
    if logits.ndim != 4 or logits.shape[0] != 1:
        raise InputError(
            f"a segmentation network must give (N, classes, H, W), not {tuple(logits.shape)}"
        )
    if tuple(logits.shape[2:]) != size:
        logits = F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
    return torch.softmax(logits.float(), 1)[0].numpy()
