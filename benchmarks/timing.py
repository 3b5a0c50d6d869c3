"""Samples to figures: median, percentiles, bootstrap intervals, steadiness, and whether two things differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_DRIFT = 1.05
RESAMPLES = 1000
DIRECT_SAMPLES = 2000
TAIL = 0.025


def summarise(samples_ms: Sequence[float]) -> dict[str, float]:
    """Median, p10, p90, p99, interquartile range, minimum, and a 95 % bootstrap interval of the median, in ms."""
    values = np.asarray(samples_ms, dtype=np.float64)
    low, high = median_interval(values)
    p25, p75 = np.percentile(values, [25, 75])
    return {
        "median_ms": float(np.median(values)),
        "p10_ms": float(np.percentile(values, 10)),
        "p90_ms": float(np.percentile(values, 90)),
        "p99_ms": float(np.percentile(values, 99)),
        "iqr_ms": float(p75 - p25),
        "min_ms": float(values.min()),
        "interval_low_ms": low,
        "interval_high_ms": high,
    }


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the median.

    Of many samples the resampled median is drawn directly: the middle of n uniform ranks is Beta distributed.
    """
    chance = np.random.default_rng(0)
    count = len(values)
    if count <= DIRECT_SAMPLES:
        medians = np.median(chance.choice(values, (RESAMPLES, count)), axis=1)
    else:
        middle = (count + 1) / 2
        ranks = (chance.beta(middle, count + 1 - middle, RESAMPLES) * count).astype(int)
        medians = np.sort(values)[np.minimum(ranks, count - 1)]
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


def verdict(samples_ms: Sequence[float]) -> dict[str, Any]:
    """STABLE, or UNSTABLE when the last third's median is off the first third's by more than 5 %."""
    third = max(1, len(samples_ms) // 3)
    drift = float(np.median(samples_ms[-third:]) / np.median(samples_ms[:third]))
    steady = 1 / MAX_DRIFT <= drift <= MAX_DRIFT
    return {"verdict": "STABLE" if steady else "UNSTABLE", "drift": drift}


def compare_rounds(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> dict[str, float]:
    """Ratio second / first of interleaved rounds of samples, with an interval of at least 95 %.

    Each round gives one ratio of medians, because neighbouring samples share the machine's mood. Rounds are too few to
    resample: the interval is the sign test's, between order statistics of the ratios, whatever their distribution.
    """
    ratios = sorted(float(np.median(b) / np.median(a)) for a, b in zip(first, second, strict=True))
    count, outside, tail = len(ratios), 0, 0.0
    while tail + math.comb(count, outside) / 2**count <= TAIL and outside < count // 2:
        tail += math.comb(count, outside) / 2**count
        outside += 1
    lowest = max(0, outside - 1)
    return {
        "ratio": float(np.median(ratios)),
        "interval_low": ratios[lowest],
        "interval_high": ratios[count - 1 - lowest],
    }
