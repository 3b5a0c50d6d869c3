"""Statistics kept in place of pictures: the same distances, and clear words for files that hold none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edgegan.compress.search import network_scores
from edgegan.errors import ConfigError, InputError
from edgegan.metrics.extractors import FeatureExtractor
from edgegan.metrics.frechet import frechet_distance, moments
from edgegan.metrics.statistics import Statistics, read_statistics
from edgegan.recipe.data_section import Data
from edgegan.recipe.search_section import Search

CHANCE = np.random.default_rng(0)
THEIRS = CHANCE.normal(0.5, 2, (40, 8))


def statistics(path: Path, **changed: Any) -> Path:
    mean, covariance = moments(THEIRS)
    np.savez(path, **{"mu": mean, "sigma": covariance, **changed})
    return path


@pytest.mark.parametrize("count", [3, 30], ids=["fewer than dimensions", "more"])
def test_as_far_as_from_the_pictures(tmp_path: Path, count: int) -> None:
    known = read_statistics(statistics(tmp_path / "real_stat.npz"))
    ours = CHANCE.normal(0, 1, (count, 8))
    distance = known.distance(ours)
    assert distance == pytest.approx(frechet_distance(ours, THEIRS), rel=1e-7)
    interval = known.interval(ours, distance, repeats=20)
    assert interval is not None and interval[0] < distance < interval[1]


def test_far_from_nothing_but_itself() -> None:
    """By hand: means 3 apart in one dimension, variances 1 and 4: 9 + (2 - 1)^2."""
    other = Statistics("x", "0" * 64, (np.array([3.0, 0.0]), np.diag([4.0, 1.0])))
    ours = np.array([[1.0, 1], [-1, 1], [1, -1], [-1, -1]]) * np.sqrt(3 / 4)
    assert other.distance(ours) == pytest.approx(9 + 1)


BAD = {
    "no sigma": ({"sigma": None}, "no array 'sigma'"),
    "another shape": ({"sigma": np.eye(3)}, r"mu has shape \(8,\) and sigma \(3, 3\)"),
    "not finite": ({"mu": np.full(8, np.nan)}, "NaN or infinity"),
    "not symmetric": ({"sigma": np.triu(np.ones((8, 8)))}, "not symmetric"),
    "negative": ({"sigma": -np.eye(8)}, "negative variances"),
    "objects": ({"mu": np.array([{}] * 8)}, "not numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_hold_no_statistics(tmp_path: Path, case: str) -> None:
    changed, message = BAD[case]
    path = statistics(tmp_path / "bad.npz", **changed)
    if case == "no sigma":
        np.savez(path, mu=THEIRS.mean(0))
    with pytest.raises(InputError, match=message):
        read_statistics(path)


def test_of_another_layer(tmp_path: Path) -> None:
    known = read_statistics(statistics(tmp_path / "real.npz"))
    with pytest.raises(InputError, match="8 dimensions, the network gives 5"):
        known.distance(np.ones((4, 5)))
    with pytest.raises(InputError, match="do not exist"):
        read_statistics(tmp_path / "none.npz")


def test_a_search_goes_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = statistics(tmp_path / "real.npz")
    made = CHANCE.integers(0, 255, (5, 3, 8, 8)).astype(np.uint8)
    monkeypatch.setattr(network_scores, "made_pictures", lambda *_: made)

    def see(x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2))

    eyes = FeatureExtractor("eyes", "Frechet (eyes)", "none", "0" * 64, 1e-6, see)

    class Opened:
        def __init__(self, _: Path) -> None: ...
        def __enter__(self) -> FeatureExtractor:
            return eyes

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(network_scores, "open_extractor", Opened)
    cache: Any = SimpleNamespace(search_inputs=made)
    search = Search(fitness="fid", network=path, reference=path)
    with network_scores.distanced(search, Data(), cache, torch.device("cpu")) as score:
        found = score.of(lambda x: x)
    assert "to those of " in score.title and str(path) in score.title
    ours = see(torch.from_numpy(made).float() / 127.5 - 1).double().numpy()
    assert found == pytest.approx(read_statistics(path).distance(ours), rel=1e-5)
    about: Any = SimpleNamespace(output=SimpleNamespace(channels=3))
    kept = Search(fitness="kid", network=path, reference=path)
    with pytest.raises(ConfigError, match="KID compares pictures one by one"):
        network_scores.check_judge(SimpleNamespace(search=kept, data=Data()), about)  # type: ignore[arg-type]
