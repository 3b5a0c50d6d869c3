"""A quality figure never stands alone: its value, a bootstrap interval, and the protocol it was measured by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edgegan.contracts.quantities import Finite, Number, Text

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964  # two-sided 95 %
PERCENTILE = "95 % percentile bootstrap over pictures"
NORMAL = "95 % from the bootstrap's standard error over pictures"


class Protocol(BaseModel):
    """What makes a figure comparable with another one: same protocol, else they are two measures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Text = Field(description="what was computed, such as FID or PSNR")
    images: Text = Field(description="which pictures were judged")
    reference: Text = Field(description="what they were compared with")
    count: Number = Field(description="how many pictures were judged")
    reference_count: Number = Field(
        description="how many pictures they were compared with; 0: none, or statistics that do not say"
    )
    split: Text = Field("as given", description="which part of a data set they are")
    resize: Text = Field("none", description="how pictures were scaled or cropped before measuring")
    network: Text | None = Field(None, description="the network that saw them, by name")
    weights_sha256: Text | None = Field(None, description="sha256 of that network's weights file")
    settings: Text = Field("", description="constants of the metric")
    interval: Text = Field("none", description="how the interval was made")

    def line(self) -> str:
        """One line of text."""
        network = ""
        if self.network:
            weights = f", weights {self.weights_sha256[:12]}" if self.weights_sha256 else ""
            network = f"; network {self.network}{weights}"
        settings = f"; {self.settings}" if self.settings else ""
        others = f" ({self.reference_count})" if self.reference_count else ""
        return (
            f"{self.metric}: {self.images} ({self.count}) against {self.reference}{others}; "
            f"split {self.split}; resize {self.resize}{network}{settings}; interval {self.interval}"
        )


class Figure(BaseModel):
    """One measured figure. `low` and `high` are the interval's ends, None when there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text = Field(description="short name of the figure, unique within an evaluation")
    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    unit: Text = ""
    higher_is_better: bool
    count: Number = Field(description="pictures behind the value")
    protocol: Protocol

    def text(self) -> str:
        """The value with its interval, to four significant digits."""
        unit = f" {self.unit}" if self.unit else ""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}{unit}"
        return f"{self.value:.4g}{unit} ({self.low:.4g} to {self.high:.4g})"


def bootstrap_indices(count: int, repeats: int, seed: int) -> NDArray[np.int64]:
    """(repeats, count) indices drawn with replacement."""
    return np.random.default_rng(seed).integers(0, count, (repeats, count))


def mean_interval(
    values: Sequence[float], repeats: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean of one value a picture; None for fewer than two pictures or no repeats."""
    data = np.asarray(values, np.float64)
    if len(data) < 2 or repeats < 2:
        return None
    means = data[bootstrap_indices(len(data), repeats, seed)].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def spread_interval(
    value: float,
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    counts: tuple[int, int],
    repeats: int = 100,
    seed: int = 0,
) -> tuple[float, float] | None:
    """`value` plus and minus 1.96 standard errors of `statistic` over resampled pictures of both sets.

    For distances between distributions, whose resampled values are all too large (pictures drawn twice narrow a
    set), so that percentiles would not hold the value itself. None for fewer than two pictures or no repeats.
    """
    if min(counts) < 2 or repeats < 2:
        return None
    first = bootstrap_indices(counts[0], repeats, seed)
    second = bootstrap_indices(counts[1], repeats, seed + 1)
    # A draw of one picture alone has no spread of its own; it happens with very few pictures only.
    draws = [(a, b) for a, b in zip(first, second, strict=True) if np.ptp(a) and np.ptp(b)]
    if len(draws) < 2:
        return None
    error = float(np.std([statistic(a, b) for a, b in draws], ddof=1))
    if not math.isfinite(error):
        return None
    return value - NORMAL_QUANTILE * error, value + NORMAL_QUANTILE * error
