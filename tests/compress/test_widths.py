"""Units of widths, and costs of sub-networks from widths alone."""

from __future__ import annotations

import random

import pytest
import torch
from edgegan.compress.costs.plan import PlanCosts

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.search.widths import width_space
from edgegan.metrics.complexity import measure
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.sngan.network import SnganGenerator, SnganSpec
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.unet.network import UnetGenerator, UnetSpec

RESNET = ResnetSpec.from_ngf(16, 3, block="separable", norm="instance_affine")


def test_groups_of_one_number_are_one_unit() -> None:
    """SPADE's spec has one hidden width for all norms of a block."""
    spec = SpadeSpec.from_ngf(8, classes=4)
    module = SpadeGenerator(spec)
    graph = trace_channels(module, torch.zeros(1, 5, 64, 64))
    space = width_space(graph, SpadeSpec, 0.5, 4)
    hidden = [unit for unit in space.units if unit.startswith("head.") and "shared" in unit]
    assert len(hidden) == 1
    assert len(space.units[hidden[0]]) >= 2
    plan = space.plan(space.narrowest())
    assert len({plan[group] for group in space.units[hidden[0]]}) == 1


def test_genomes() -> None:
    graph = trace_channels(ResnetGenerator(RESNET), torch.zeros(1, 3, 32, 32))
    space = width_space(graph, ResnetSpec, 0.25, 8)
    assert list(space.units)[:3] == ["stem", "down1", "down2"]
    assert space.widest()[:3] == (16, 32, 64)
    assert space.narrowest()[:3] == (8, 8, 16)
    assert space.uniform(0.5)[:3] == (8, 16, 32)
    assert space.describe(space.widest()).startswith("16_32_64")
    assert space.size() == 2 * 4 * 7 * 7**3 * 4 * 2


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (ResnetGenerator(RESNET), torch.zeros(1, 3, 32, 32)),
        (UnetGenerator(UnetSpec.from_ngf(8, 5)), torch.zeros(1, 3, 64, 64)),
        (
            SnganGenerator(SnganSpec(latent=16, stem=16, inner=(16,) * 3, width=(16,) * 3)),
            torch.zeros(1, 16),
        ),
    ],
    ids=["resnet", "unet", "sngan"],
)
def test_costs_equal_those_of_the_extracted_network(
    module: torch.nn.Module, x: torch.Tensor
) -> None:
    graph = trace_channels(module, x)
    costs = PlanCosts(module, graph, x)
    space = width_space(graph, None, 0.25, 8)
    chance = random.Random(0)
    for _ in range(5):
        plan = space.plan(space.draw(chance))
        expected = measure(extract(module, graph, plan), x, cross_check=False)
        assert costs(plan) == {
            "macs": expected.macs,
            "params": expected.parameters,
            "bytes": expected.bytes_int8,
        }
