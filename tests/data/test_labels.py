"""Label maps as the channels a generator takes."""

from __future__ import annotations

import numpy as np
import pytest

from edgegan.data.labels import find_edges, one_hot
from edgegan.errors import InputError


def test_one_hot() -> None:
    channels = one_hot(np.array([[0, 2], [1, 1]]), 3)
    assert channels.dtype == np.float32
    assert channels.tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [0, 0]]]


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_labels_outside_are_named(label: int) -> None:
    with pytest.raises(InputError, match=f"class {label}, the generator knows 0 to 2"):
        one_hot(np.array([[0, label]]), 3)


def test_edges_lie_on_both_sides() -> None:
    instances = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3]])
    assert find_edges(instances).tolist() == [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert not find_edges(np.ones((3, 3), int)).any()
