"""Costs at any widths by hand, the schedule, the projection, and budgets met for the real teacher's family."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.costs.counted import LayerTable, behind_enlargement, tabulate
from edgegan.compress.form import Form, find_scale
from edgegan.compress.slimming.budget import (
    Bundle,
    allowed_cost,
    check_met,
    make_bundles,
    project,
)
from edgegan.compress.slimming.narrow import removable_groups, tied_groups
from edgegan.compress.slimming.start import make_start
from edgegan.errors import ConfigError, TrainingError
from edgegan.metrics.complexity import measure
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.zoo import build
from edgegan.recipe.slim_section import Slim

TEACHER_BYTES = 45_950_000


def table_of(spec: ResnetSpec, side: int = 32) -> tuple[nn.Module, LayerTable]:
    module, x = build("resnet", spec).eval(), torch.zeros(1, 3, side, side)
    graph = trace_channels(module, x)
    return module, tabulate(module, x, graph, removable_groups(spec, graph))


@pytest.mark.parametrize(("mode", "found"), [("nearest", {"2"}), ("bilinear", set())])
def test_only_nearest_neighbours_become_phases(mode: str, found: set[str]) -> None:
    doubling = nn.Upsample(scale_factor=2, mode=mode)
    module = nn.Sequential(doubling, nn.ReflectionPad2d(1), nn.Conv2d(3, 3, 3))
    assert behind_enlargement(module, torch.zeros(1, 3, 8, 8)) == found


def test_macs_of_widths_are_those_of_the_extracted_network() -> None:
    module, table = table_of(ResnetSpec.from_ngf(16, 2, norm="instance_affine", block="separable"))
    plan = {"stem": 8, "down1": 20, "down2": 40, "blocks.1.conv1.pointwise": 24, "up2": 8}
    widths = {**table.full, **plan}
    found = measure(
        extract(module, table.graph, plan), torch.zeros(1, 3, 32, 32), cross_check=False
    )
    assert table.macs(widths) == found.macs
    assert table.parameters(widths) == found.parameters


def test_bytes_of_one_layer_by_hand() -> None:
    _, table = table_of(ResnetSpec.from_ngf(16, 2, norm="instance_affine", block="separable"))
    difference = table.bytes(table.full) - table.bytes({**table.full, "stem": 8})
    # stem: 7x7 taps on 3 inputs, a step (12 bytes) a channel, scale and shift (8); down1: 3x3 taps for 32 outputs.
    assert difference == 8 * (7 * 7 * 3 + 12 + 8 + 3 * 3 * 32)


def test_a_branch_of_width_zero_costs_nothing() -> None:
    _, table = table_of(ResnetSpec.from_ngf(16, 3, norm="instance_affine"))
    _, without = table_of(ResnetSpec.from_ngf(16, 2, norm="instance_affine"))
    gone = {**table.full, "blocks.1.conv1": 0}
    assert table.macs(gone) == without.macs(without.full)
    assert table.bytes(gone) == without.bytes(without.full)


def test_schedule_is_geometric() -> None:
    assert [allowed_cost(800.0, 100.0, part) for part in (0, 1 / 3, 1)] == pytest.approx(
        [800, 400, 100]
    )


def test_projection_takes_what_matters_least() -> None:
    bundles = [Bundle(("a",), 16, 8), Bundle(("b", "c"), 16, 0)]
    scores = {"a": torch.arange(16.0), "b": torch.full((16,), 9.0), "c": torch.full((16,), 9.0)}
    keep = project(bundles, scores, lambda w: w["a"] + w["b"] + w["c"], 40, 8)
    assert {name: len(channels) for name, channels in keep.items()} == {"a": 8, "b": 16, "c": 16}
    assert keep["a"].tolist() == list(range(8, 16))
    emptied = project(bundles, scores, lambda w: w["a"] + w["b"] + w["c"], 16, 8)
    assert len(emptied["b"]) == len(emptied["c"]) == 0
    with pytest.raises(ConfigError, match="below the narrowest"):
        project(bundles, scores, lambda w: w["a"] + w["b"] + w["c"], 7, 8)


def test_a_missed_budget_is_an_error() -> None:
    check_met("bytes", 971.0, 1000.0, 8)
    with pytest.raises(TrainingError, match=r"-4.0% from the budget"):
        check_met("bytes", 960.0, 1000.0, 8)


def test_groups_with_one_number_in_the_spec_go_together() -> None:
    spec = SpadeSpec(classes=4).scaled(0.02, 8, block="dense", norm="instance")
    module = build("spade", spec).eval()
    graph = trace_channels(module, torch.zeros(1, 5, 128, 128))
    tied = tied_groups(spec, graph)
    assert tied and all(len(names) > 1 for names in tied)
    bundles = make_bundles(graph, tied, set(), 8)
    assert sorted(name for each in bundles for name in each.groups) == sorted(
        group.name for group in graph.free()
    )


def test_five_budgets_are_met_in_order() -> None:
    """1/10 to 1/60 of the teacher's bytes, with scores that have nothing to do with cost."""
    spent = []
    for share in (10, 20, 30, 45, 60):
        slimming = Slim(start=1.6)
        block = "dense" if share < 30 else "separable"
        shape = (1, 3, 256, 256)
        form = Form(
            lambda scale, block=block: CartoonSpec().scaled(scale, 8, block, "instance_affine"),
            shape,
        )
        start = make_start(form, 0.4, slimming, ("bytes", TEACHER_BYTES / share), None, 0)
        generator = torch.Generator().manual_seed(share)
        scores = {g.name: torch.rand(g.size, generator=generator) for g in start.graph.free()}
        removable = set(removable_groups(start.spec, start.graph).values())
        bundles = make_bundles(start.graph, [], removable, 8)
        keep = project(bundles, scores, start.cost, TEACHER_BYTES / share, 8)
        cost = start.cost({name: len(channels) for name, channels in keep.items()})
        check_met("bytes", cost, TEACHER_BYTES / share, 8)
        assert cost <= TEACHER_BYTES / share
        spent.append(cost)
    assert spent == sorted(spent, reverse=True)


def test_scale_is_found_and_an_aim_out_of_reach_is_named() -> None:
    assert find_scale(lambda scale: 100 * scale**2, 25) == pytest.approx(0.5, abs=1e-3)
    assert find_scale(lambda scale: scale, 5) == 1.0

    def narrow(_: float) -> ResnetSpec:
        return ResnetSpec.from_ngf(8, 1)

    form = Form(narrow, (1, 3, 32, 32))
    with pytest.raises(ConfigError, match="nothing to prune"):
        make_start(form, 1.0, Slim(), ("bytes", 1e9), None, 0)
