"""Units of widths, and costs of sub-networks from widths alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.costs.counted import tabulate
from edgegan.compress.costs.network import NetworkCosts, check_reachable
from edgegan.compress.search.widths import WidthSpace, width_space
from edgegan.errors import BudgetError
from edgegan.metrics.complexity import measure
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build

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


FAMILIES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "resnet": (RESNET, (1, 3, 32, 32)),
    "cartoon": (CartoonSpec().scaled(0.25, 8, "separable", "instance_affine"), (1, 3, 32, 32)),
    "transformer_net": (TransformerSpec().scaled(0.5, 8, "dense", "instance"), (1, 3, 32, 32)),
    "animegan": (AnimeSpec().scaled(0.5, 8, "dense", "instance_affine"), (1, 3, 32, 32)),
    "unet": (UnetSpec.from_ngf(8, 5), (1, 3, 64, 64)),
    "sngan": (SnganSpec(latent=16, stem=16, inner=(16,) * 3, width=(16,) * 3), (1, 16)),
    "spade": (SpadeSpec.from_ngf(8, classes=4), (1, 5, 64, 64)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_costs_equal_those_of_the_extracted_network(family: str) -> None:
    """MACs and parameters to the last digit, whatever the family and the widths."""
    spec, shape = FAMILIES[family]
    module, x = build(family, spec).eval(), torch.zeros(shape)
    graph = trace_channels(module, x)
    costs = NetworkCosts(tabulate(module, x, graph))
    space = width_space(graph, None, 0.25, 8)
    chance = random.Random(0)
    for _ in range(5):
        plan = space.plan(space.draw(chance))
        expected = measure(extract(module, graph, plan), x, cross_check=False)
        found = costs.at(plan)
        assert list(found) == ["macs", "params", "bytes"]
        assert found["macs"] == expected.macs
        assert found["params"] == expected.parameters
        assert found["bytes"] == tabulate(module, x, graph).bytes(plan)


def test_a_genome_is_a_plan_of_the_first_group_of_each_unit() -> None:
    space = WidthSpace({"a": ("a",), "b": ("b", "c")}, {"a": (8, 16), "b": (8, 16)})
    assert space.genome(space.plan((16, 8))) == (16, 8)
    assert space.genome({"b": 8}) == (16, 8)


def test_measured_costs_stand_beside_counted_ones() -> None:
    module, x = build("resnet", RESNET).eval(), torch.zeros(1, 3, 32, 32)
    graph = trace_channels(module, x)
    costs = NetworkCosts(tabulate(module, x, graph)).with_measured({"ms": lambda _: 2.5})
    assert list(costs.at({})) == ["macs", "params", "bytes", "ms"]
    check_reachable(costs.at({}), {"ms": 2.5})
    with pytest.raises(BudgetError, match=r"budget ms 2 .* narrowest sub-network costs 2.5"):
        check_reachable(costs.at({}), {"ms": 2.0})
