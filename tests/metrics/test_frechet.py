"""Frechet distance, KID and Inception score against values worked out by hand or computed another way."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgegan.data.images import list_images, read_image, to_float
from edgegan.errors import InputError
from edgegan.metrics import frechet
from edgegan.metrics.extractors import collect, inception_extractor
from edgegan.metrics.frechet import (
    frechet_distance,
    frechet_interval,
    kid,
    kid_interval,
    polynomial_kernel,
    unbiased_mmd,
)
from edgegan.metrics.inception_score import inception_score, score_interval, softmax


def test_one_dimension_by_hand() -> None:
    """Means 0 and 3, standard deviations 1 and 2 (N - 1): 3^2 + (2 - 1)^2."""
    a = np.array([[-1.0], [0.0], [1.0]])
    b = np.array([[1.0], [3.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(10, abs=1e-12)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", [(40, 30), (5, 4)])
def test_against_a_matrix_root(counts: tuple[int, int]) -> None:
    """scipy's root of the product of covariances, also where few pictures span little of the space."""
    from scipy.linalg import sqrtm

    chance = np.random.default_rng(0)
    a = chance.normal(size=(counts[0], 16)) * np.linspace(0.5, 2, 16)
    b = chance.normal(size=(counts[1], 16)) + 0.3
    epsilon = 1e-3
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm((first + epsilon * np.eye(16)) @ (second + epsilon * np.eye(16))).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b, epsilon=epsilon) == pytest.approx(expected, rel=1e-9)


def test_interval_holds_the_value_and_narrows() -> None:
    chance = np.random.default_rng(1)
    sets = [chance.normal(size=(400, 6)) + shift for shift in (0, 1)]
    widths = []
    for count in (40, 400):
        a, b = sets[0][:count], sets[1][:count]
        interval = frechet_interval(a, b, repeats=50)
        assert interval is not None
        assert interval[0] < frechet_distance(a, b) < interval[1]
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2
    assert frechet_interval(sets[0], sets[1], repeats=0) is None


def test_equals_the_reference_program_on_real_pictures(data_folder: Path, tmp_path: Path) -> None:
    tool = data_folder.parent / "tools" / "frechet768.py"
    if not tool.is_file():
        pytest.skip(f"no reference program {tool}")
    weights = data_folder / "weights" / "inception_2015_12_05_upto_mixed8_fp16.pth"
    extractor = inception_extractor(weights)
    assert (extractor.name, extractor.title) == ("inception-768", "Frechet-768")
    sources = [data_folder / "images/bsds500/val/photo", data_folder / "images/kaokore256"]
    features = []
    for name, source in zip("ab", sources, strict=True):
        (tmp_path / name).mkdir()
        files = list_images(source)[:4]
        for path in files:
            (tmp_path / name / path.name).symlink_to(path)
        pictures = (torch.from_numpy(to_float(read_image(path))) for path in files)
        features.append(collect(extractor.call, pictures, len(files), name))
    command = [sys.executable, str(tool), str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(
        [*command, "--weights", str(weights)], capture_output=True, text=True, check=True
    )
    expected = float(done.stdout.split()[1])
    ours = frechet_distance(features[0], features[1], epsilon=extractor.epsilon)
    assert ours == pytest.approx(expected, rel=1e-3)


def mmd_by_pairs(a: np.ndarray, b: np.ndarray) -> float:
    """The estimator written out pair by pair."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    n, m = len(a), len(b)
    aa = sum(kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j)
    bb = sum(kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j)
    ab = sum(kernel(x, y) for x in a for y in b)
    return aa / (n * (n - 1)) + bb / (m * (m - 1)) - 2 * ab / (n * m)


def test_kid_by_pairs() -> None:
    chance = np.random.default_rng(2)
    a, b = chance.normal(size=(7, 5)), chance.normal(size=(5, 5)) + 0.5
    expected = mmd_by_pairs(a, b)
    assert kid(a, b) == pytest.approx(expected, rel=1e-12)
    interval = kid_interval(a, b, expected)
    assert interval is not None and interval[0] < expected < interval[1]


def test_kid_of_many_pictures_takes_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "KID_SUBSET", 200)
    chance = np.random.default_rng(3)
    a, b = chance.normal(size=(260, 4)), chance.normal(size=(220, 4)) + 0.3
    whole = unbiased_mmd(*(polynomial_kernel(*pair) for pair in ((a, a), (b, b), (a, b))))
    assert kid(a, b) == pytest.approx(whole, rel=0.05)
    assert kid(a, b) == kid(a, b)


def test_features_that_cannot_be_compared() -> None:
    good = np.zeros((3, 4))
    with pytest.raises(InputError, match="use one extractor"):
        frechet_distance(good, np.zeros((3, 5)))
    with pytest.raises(InputError, match="two of each"):
        kid(good, good[:1])
    with pytest.raises(InputError, match="NaN"):
        frechet_distance(good, good * math.nan)


def test_inception_score_by_hand() -> None:
    """Sure of one of four classes each, evenly: 4. The same doubt for every picture: 1."""
    certain = np.tile(np.eye(4), (5, 1))
    assert inception_score(certain, splits=5)[0] == pytest.approx(4)
    assert inception_score(np.full((8, 4), 0.25), splits=2) == pytest.approx((1, 0))
    two = np.array([[0.8, 0.2], [0.4, 0.6]])
    divergence = 0.8 * math.log(0.8 / 0.6) + 0.2 * math.log(0.2 / 0.4)
    divergence += 0.4 * math.log(0.4 / 0.6) + 0.6 * math.log(0.6 / 0.4)
    assert inception_score(two, splits=1) == pytest.approx((math.exp(divergence / 2), 0))
    assert inception_score(np.concatenate([two, certain[:2, :2]]), splits=2)[0] == pytest.approx(
        (math.exp(divergence / 2) + 2) / 2
    )


def test_inception_score_of_logits() -> None:
    logits = np.random.default_rng(4).normal(size=(40, 6)) * 3
    probabilities = softmax(logits)
    assert np.allclose(probabilities.sum(1), 1)
    assert probabilities[3, 2] == pytest.approx(math.exp(logits[3, 2]) / np.exp(logits[3]).sum())
    value, spread = inception_score(probabilities, splits=4)
    interval = score_interval(probabilities, value, splits=4)
    assert 1 < value < 6 and spread > 0
    assert interval is not None and interval[0] < value < interval[1]
    with pytest.raises(InputError, match="not probabilities"):
        inception_score(logits)
    with pytest.raises(InputError, match="10 pictures at least, not 3"):
        inception_score(probabilities[:3])
