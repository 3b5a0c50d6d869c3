"""Inception score: sharp predictions for each picture, many classes over all of them (Salimans et al. 2016)."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from edgegan.errors import InputError
from edgegan.metrics.protocol import spread_interval

TINY = 1e-300


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Class probabilities (N, K) of logits (N, K)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def single_score(probabilities: NDArray[np.float64]) -> float:
    """exp of the mean Kullback-Leibler divergence of each picture's classes from those of all: 1 to K."""
    marginal = probabilities.mean(axis=0, keepdims=True)
    ratio = np.log(np.maximum(probabilities, TINY)) - np.log(np.maximum(marginal, TINY))
    return float(np.exp((probabilities * ratio).sum(axis=1).mean()))


def inception_score(probabilities: NDArray[np.float64], *, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation of the score over `splits` consecutive parts of (N, K) class probabilities.

    The published protocol has 50,000 pictures and 10 splits; the score grows with the number of pictures in a split.
    Raises InputError when there are fewer pictures than splits.
    """
    if len(probabilities) < splits:
        raise InputError(
            f"an inception score of {splits} splits needs {splits} pictures at least, not {len(probabilities)}"
        )
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise InputError(
            "the classifier's outputs are not probabilities; give logits to softmax first"
        )
    bounds = [round(index * len(probabilities) / splits) for index in range(splits + 1)]
    scores = [single_score(probabilities[a:b]) for a, b in itertools.pairwise(bounds)]
    return float(np.mean(scores)), float(np.std(scores))


def score_interval(
    probabilities: NDArray[np.float64], value: float, *, splits: int = 10, repeats: int = 100
) -> tuple[float, float] | None:
    """`value` plus and minus 1.96 bootstrap standard errors over pictures."""
    count = len(probabilities)
    return spread_interval(
        value,
        lambda first, _: inception_score(probabilities[first], splits=splits)[0],
        (count, count),
        repeats,
    )
