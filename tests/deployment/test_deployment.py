"""What runs how: the shared rules on layers small enough to check by hand."""

from __future__ import annotations

import pytest
from torch import nn

from edgegan.deployment.enlargement import is_doubling
from edgegan.deployment.few_outputs import becomes_strided
from edgegan.deployment.picture_norms import litert_policy, loses_vectors
from edgegan.deployment.trunk import trunk_size


@pytest.mark.parametrize(
    ("layer", "height", "width", "expected"),
    [
        (nn.Conv2d(8, 3, 3), 16, 16, True),
        (nn.Conv2d(8, 4, (3, 7)), 2, 2, True),
        (nn.Conv2d(8, 5, 3), 16, 16, False),
        (nn.Conv2d(8, 3, 1), 16, 16, False),
        (nn.Conv2d(8, 3, 3, stride=2), 16, 16, False),
        (nn.Conv2d(8, 3, 3, dilation=2), 16, 16, False),
        (nn.Conv2d(3, 3, 3, groups=3), 16, 16, False),
        (nn.Conv2d(8, 3, 3), 15, 16, False),
        (nn.Conv2d(8, 3, 3), 16, 15, False),
    ],
)
def test_few_outputs_take_two_steps_at_once(
    layer: nn.Conv2d, height: int, width: int, expected: bool
) -> None:
    assert becomes_strided(layer, height, width) is expected


def test_trunk_is_the_smallest_size_with_a_quarter_of_the_work() -> None:
    assert trunk_size({64: 60, 16: 15, 4: 25}) == 4
    assert trunk_size({64: 60, 16: 25, 4: 15}) == 16
    assert trunk_size({64: 60, 16: 25}, total=200) == 64
    assert trunk_size({1: 1, 2: 1, 3: 1, 4: 1, 5: 1}) == 5
    assert trunk_size({}) == 0


def test_norms_settle_int8_and_take_vectors_away() -> None:
    batch, instance = nn.BatchNorm2d(8), nn.InstanceNorm2d(8, affine=True)
    assert litert_policy(nn.Sequential(nn.Conv2d(3, 8, 3), batch)) == "static"
    for norm in (instance, nn.GroupNorm(2, 8), nn.LayerNorm([8])):
        assert litert_policy(nn.Sequential(batch, norm)) == "dynamic"
    assert loses_vectors(nn.Conv2d(3, 8, 3), instance)
    assert not loses_vectors(nn.Conv2d(3, 8, 3), batch)
    assert loses_vectors(instance, nn.Conv2d(8, 8, 1))
    assert not loses_vectors(instance, nn.Conv2d(8, 8, 3))
    assert not loses_vectors(batch, nn.Conv2d(8, 8, 1))


def test_only_the_doubling_transposed_convolution_is_taken_apart() -> None:
    assert is_doubling(nn.ConvTranspose2d(8, 4, 3, 2, 1, 1))
    assert not is_doubling(nn.ConvTranspose2d(8, 4, 4, 2, 1))
    assert not is_doubling(nn.ConvTranspose2d(8, 8, 3, 2, 1, 1, groups=8))
    assert not is_doubling(nn.Conv2d(8, 4, 3))
