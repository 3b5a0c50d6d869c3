"""Figures carry their protocol and an interval that means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from edgegan.metrics.protocol import Figure, Protocol, mean_interval, spread_interval

PROTOCOL = Protocol(
    metric="PSNR",
    images="student of run a",
    reference="teacher",
    count=3,
    reference_count=3,
    resize="centre crop 32x32",
    network="vgg16",
    weights_sha256="ab" * 32,
)


def test_line_names_everything() -> None:
    line = PROTOCOL.line()
    for words in (
        "PSNR",
        "student of run a (3)",
        "teacher (3)",
        "centre crop 32x32",
        "vgg16",
        "abababababab",
    ):
        assert words in line


def test_text_of_a_figure() -> None:
    figure = Figure(
        name="psnr",
        value=23.456,
        low=22,
        high=24.04,
        unit="dB",
        higher_is_better=True,
        count=3,
        protocol=PROTOCOL,
    )
    assert figure.text() == "23.46 dB (22 to 24.04)"
    assert figure.model_copy(update={"low": None}).text() == "23.46 dB"


def test_mean_interval_covers_the_mean_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    hits = 0
    for index in range(200):
        interval = mean_interval(list(chance.normal(5, 2, 50)), 400, index)
        assert interval is not None
        hits += interval[0] <= 5 <= interval[1]
    assert 0.88 <= hits / 200 <= 0.99
    assert mean_interval([1.0]) is None


def test_spread_interval_is_the_standard_error() -> None:
    """Of a mean of n values: 1.96 sigma / sqrt(n) on both sides."""
    values = np.random.default_rng(1).normal(size=400)
    interval = spread_interval(0.0, lambda a, _: float(values[a].mean()), (400, 400), 2000)
    assert interval is not None
    assert interval[1] == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert interval[0] == -interval[1]
    assert spread_interval(0.0, lambda _a, _b: float("nan"), (4, 4)) is None
