"""Samples to figures: median, percentiles, a bootstrap interval, and whether the measurement was steady."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_DRIFT = 1.05


def summarise(samples_ms: Sequence[float]) -> dict[str, float]:
    """Median, p10, p90, interquartile range, minimum, and a 95 % bootstrap interval of the median, in ms."""
    values = np.asarray(samples_ms, dtype=np.float64)
    chance = np.random.default_rng(0)
    medians = np.median(chance.choice(values, (1000, len(values))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    p25, p75 = np.percentile(values, [25, 75])
    return {
        "median_ms": float(np.median(values)),
        "p10_ms": float(np.percentile(values, 10)),
        "p90_ms": float(np.percentile(values, 90)),
        "iqr_ms": float(p75 - p25),
        "min_ms": float(values.min()),
        "interval_low_ms": float(low),
        "interval_high_ms": float(high),
    }


def verdict(samples_ms: Sequence[float]) -> dict[str, Any]:
    """STABLE, or UNSTABLE when the last third's median is off the first third's by more than 5 %."""
    third = max(1, len(samples_ms) // 3)
    drift = float(np.median(samples_ms[-third:]) / np.median(samples_ms[:third]))
    steady = 1 / MAX_DRIFT <= drift <= MAX_DRIFT
    return {"verdict": "STABLE" if steady else "UNSTABLE", "drift": drift}
