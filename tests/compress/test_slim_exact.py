"""Pruned in place equals extracted, in every family; removed blocks, gates and folded constants are exact."""

from __future__ import annotations

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.slicing import extract
from edgegan.compress.slimming.budget import Bundle
from edgegan.compress.slimming.extract import live_channels
from edgegan.compress.slimming.gates import (
    Gates,
    prune_in_place,
    scale_scores,
    soft_threshold,
)
from edgegan.compress.slimming.narrow import begin, finished, narrow, remove_block
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.stargan.network import StarganSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.ugatit.network import UgatitSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.whitebox.network import WhiteboxSpec
from edgegan.models.zoo import build

SPADE = SpadeSpec(
    classes=4, trunk=4, inner=(4, 3, 4, 3, 3, 4, 3), up=(4, 3, 3, 2), hidden=(2, 3, 2, 3, 2, 3, 2)
)
FAMILIES: dict[str, tuple[str, BaseModel, tuple[int, ...]]] = {
    "resnet": ("resnet", ResnetSpec.from_ngf(6, 2, norm="instance_affine"), (1, 3, 16, 16)),
    "resnet_separable": (
        "resnet",
        ResnetSpec.from_ngf(6, 2, norm="batch", block="separable"),
        (1, 3, 16, 16),
    ),
    "cartoon": (
        "cartoon",
        CartoonSpec(stem=6, down1=(8, 9), down2=(9, 10), inner=(7, 8), up1=(8, 6), up2=(5, 6)),
        (1, 3, 16, 16),
    ),
    "transformer_net": (
        "transformer_net",
        TransformerSpec().scaled(0.15, 2, "dense", "instance_affine"),
        (1, 3, 16, 16),
    ),
    "unet": (
        "unet",
        UnetSpec(down=(6, 8, 10, 9), up=(9, 7, 6), norm="batch", dropout=0.0),
        (1, 3, 32, 32),
    ),
    "sngan": (
        "sngan",
        SnganSpec(latent=5, stem=8, width=(8, 6, 7), inner=(6, 7, 5), bottom=2),
        (2, 5),
    ),
    "animegan": ("animegan", AnimeSpec().scaled(0.1, 2, "dense", "instance"), (1, 3, 32, 32)),
    "spade": ("spade", SPADE, (1, 5, 128, 128)),
    "ugatit": ("ugatit", UgatitSpec.from_channels(3, blocks=1, side=16), (1, 3, 16, 16)),
    "stargan": (
        "stargan",
        StarganSpec(label=(1.0, 0.0), stem=6, down=5, trunk=7, inner=(6,), up=(5, 4)),
        (1, 3, 16, 16),
    ),
    "whitebox": ("whitebox", WhiteboxSpec().scaled(0.1, 2, "dense", "batch"), (1, 3, 16, 16)),
}


def randomised(family: str, spec: BaseModel) -> nn.Module:
    torch.manual_seed(0)
    module = build(family, spec).eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if "var" in name else tensor.normal_(0.3, 0.5)
    return module


def random_plan(graph: ChannelGraph, seed: int) -> dict[str, torch.Tensor]:
    """Random channels of every group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    plan = {}
    for group in graph.free():
        order = torch.randperm(group.size, generator=generator)
        count = int(torch.randint(1, group.size + 1, (), generator=generator))
        plan[group.name] = torch.sort(order[:count]).values
    return plan


@pytest.mark.parametrize("name", FAMILIES)
def test_pruned_in_place_equals_extracted(name: str) -> None:
    """Fifty random prunings; double precision, so that 1e-5 speaks of the cut and not of rounding."""
    family, spec, shape = FAMILIES[name]
    module = randomised(family, spec).double()
    x = torch.randn(shape, dtype=torch.float64)
    graph = trace_channels(module, x)
    changed = 0
    with torch.no_grad():
        whole = module(x)
        for seed in range(50):
            plan = random_plan(graph, seed)
            masked = prune_in_place(module, graph, plan)(x)
            assert torch.allclose(masked, extract(module, graph, plan)(x), atol=1e-5)
            changed += not torch.allclose(masked, whole, atol=1e-3)
    assert changed >= 40


@pytest.mark.parametrize("norm", ["instance_affine", "instance"])
@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_removed_block_leaves_its_shift_to_a_neighbour(norm: str, gone: int) -> None:
    spec = ResnetSpec.from_ngf(6, 3, norm=norm)
    module = randomised("resnet", spec).double()
    scale = module.get_submodule(f"blocks.{gone}.norm2").weight
    if scale is not None:
        scale.data.zero_()
    else:
        module.get_submodule(f"blocks.{gone}.conv2").weight.data.zero_()
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        before = module(x)
        student = begin(module, x)
        start = student.graph
        keep = {group.name: torch.arange(group.size) for group in start.free()}
        keep[f"blocks.{gone}.conv1"] = torch.arange(0)
        student, _ = narrow(student, keep, x)
        assert torch.allclose(student.module(x), before, atol=1e-9)
        final, whole = finished(spec, start, student)
        assert torch.allclose(whole.double()(x), before, atol=1e-5)
    assert isinstance(final, ResnetSpec) and len(final.inner) == 2


def test_cuts_compose() -> None:
    """Channels are counted in the start network, however many cuts came before."""
    spec = ResnetSpec.from_ngf(6, 1, norm="instance_affine")
    module = randomised("resnet", spec)
    x = torch.randn(1, 3, 16, 16)
    student = begin(module, x)
    start = student.graph
    whole = {group.name: torch.arange(group.size) for group in start.free()}
    student, _ = narrow(student, {**whole, "stem": torch.tensor([1, 2, 4, 5])}, x)
    rest = {group.name: torch.arange(group.size) for group in student.graph.free()}
    student, _ = narrow(student, {**rest, "stem": torch.tensor([0, 3])}, x)
    assert student.kept["stem"].tolist() == [1, 5]
    once = extract(module, start, {"stem": torch.tensor([1, 5])})
    assert torch.allclose(once(x), student.module(x), atol=1e-6)


@pytest.mark.parametrize("family", ["resnet", "unet"])
def test_gates_fold_exactly(family: str) -> None:
    spec: BaseModel = ResnetSpec.from_ngf(6, 2, norm="instance")
    if family == "unet":
        spec = UnetSpec(down=(6, 8, 10), up=(8, 6), norm="batch", dropout=0.0)
    module = randomised(family, spec)
    x = torch.randn(1, 3, 16, 16)
    graph = trace_channels(module, x)
    before = module(x).detach()
    gates = Gates(module, graph)
    assert gates.groups
    gates.attach(module, graph)
    assert torch.allclose(module(x), before)
    with torch.no_grad():
        for gate in gates.values:
            gate.uniform_(0.2, 1.8)
    gated = module(x).detach()
    assert not torch.allclose(gated, before, atol=1e-4)
    scores = scale_scores(module, graph, gates)
    assert scores[gates.groups[0]].mean() == pytest.approx(1.0)
    gates.fold(module)
    assert torch.allclose(module(x), gated, atol=1e-6)
    assert not any("parametrizations" in name for name in module.state_dict())


def test_soft_threshold_by_hand() -> None:
    scale = torch.tensor([0.5, -0.3, 0.05, -0.05])
    soft_threshold(scale, 0.1)
    assert torch.allclose(scale, torch.tensor([0.4, -0.2, 0.0, 0.0]))


def test_live_channels_are_filled_up_to_the_multiple() -> None:
    scores = {"a": torch.tensor([0.0, 3.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0])}
    keep = live_channels([Bundle(("a",), 8, 2)], scores, 2)
    assert {1, 3, 5} < set(keep["a"].tolist()) and len(keep["a"]) == 4
    assert live_channels([Bundle(("a",), 8, 0)], {"a": torch.zeros(8)}, 4)["a"].tolist() == []


def test_first_block_without_norm_shift_is_the_identity() -> None:
    module = randomised("resnet", ResnetSpec.from_ngf(6, 1, norm="instance"))
    remove_block(module, 0)
    blocks = module.get_submodule("blocks")
    assert isinstance(blocks, nn.ModuleList) and isinstance(blocks[0], nn.Identity)
