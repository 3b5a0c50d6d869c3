"""Frozen statistics: measured once over many crops, then held while the rest trains."""

from __future__ import annotations

import torch
from torch import nn

from edgegan.compress.freeze import freeze_step, hold_statistics, measure_statistics
from edgegan.config import Distill
from edgegan.models.blocks import GlobalBranch, initialise


def test_step_at_which_statistics_freeze() -> None:
    assert freeze_step(Distill(steps=1000, freeze_statistics=0.25)) == 750
    assert freeze_step(Distill(steps=1000)) == 1000


def test_statistics_are_plain_averages_over_crops() -> None:
    """Two crops of four pixels: means 1 and 3, unbiased variances 4 / 3 and 0."""
    norm = nn.BatchNorm2d(1, momentum=0.1)
    crops = torch.tensor([[[[0.0, 2.0], [0.0, 2.0]]], [[[3.0, 3.0], [3.0, 3.0]]]])
    measure_statistics(nn.Sequential(norm), crops)
    assert norm.running_mean is not None and norm.running_var is not None
    assert torch.allclose(norm.running_mean, torch.tensor([2.0]))
    assert torch.allclose(norm.running_var, torch.tensor([2.0 / 3]))
    assert norm.momentum == 0.1


def test_held_statistics_do_not_move_and_weights_do() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    hold_statistics(net)
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert all(torch.equal(before[name], value) for name, value in net.named_buffers())
    assert net[0].training
    assert net[1].weight.grad is not None


def test_global_branch_starts_as_no_change_and_sees_the_picture() -> None:
    torch.manual_seed(0)
    branch = GlobalBranch(3, 5)
    initialise(branch)
    image, trunk = torch.randn(1, 3, 16, 16), torch.randn(1, 5, 4, 4)
    assert torch.equal(branch(image, trunk), trunk)
    nn.init.normal_(branch.scale.weight)
    brighter = branch(image + 1, trunk) - branch(image, trunk)
    assert brighter.abs().max() > 1e-3
