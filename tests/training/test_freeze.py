"""Frozen statistics: measured once over many crops, then held while the rest trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.training import small_training
from torch import nn

from edgegan.compress.distill import distill
from edgegan.compress.inherited import Inherited
from edgegan.compress.teacher.cache import Cache
from edgegan.files import write_json
from edgegan.models.blocks import GlobalBranch, initialise
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build
from edgegan.package import ImageIO
from edgegan.recipe.distill_section import Distill
from edgegan.training import loop as module
from edgegan.training.freeze import freeze_step, hold_statistics, measure_statistics


def test_step_at_which_statistics_freeze() -> None:
    assert freeze_step(1000, 0.25) == 750
    assert freeze_step(1000, 0.0) == 1000


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


def make_cache(folder: Path) -> Cache:
    """Six crops and what a teacher may have made of them, no features."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 6), ("validation", 2)):
        pixels = chance.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
        np.save(folder / f"{split}_input.npy", pixels)
        np.save(folder / f"{split}_output.npy", (pixels / 127.5 - 1).astype(np.float16))
    about = {"input": ImageIO().model_dump(mode="json"), "taps": [], "tap_mean_squares": []}
    write_json(folder / "cache.json", about)
    return Cache(folder)


@pytest.mark.parametrize("stop", [4, 5, 7])
def test_resumed_with_frozen_statistics_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped before, at and after the step where statistics freeze (5 of 10)."""
    cache = make_cache(tmp_path)
    settings = Distill(freeze_statistics=0.5)

    def train(folder: Path) -> nn.Module:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        student = build("resnet", ResnetSpec.from_ngf(4, 1, norm="batch-global"))
        training = small_training(folder, seed=1, validate_every=3, checkpoint_seconds=1e-9)
        distill(student, cache, settings, Inherited(), training)
        return student

    whole = train(tmp_path / "whole").state_dict()

    def interrupted(path: Path, trainer: Any, step: int, inputs: str) -> None:
        keep(path, trainer, step, inputs)
        if step == stop:
            raise KeyboardInterrupt

    keep = module.save_checkpoint
    monkeypatch.setattr(module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts")
    monkeypatch.setattr(module, "save_checkpoint", keep)
    parts = train(tmp_path / "parts").state_dict()
    assert all(torch.equal(whole[name], value) for name, value in parts.items())
