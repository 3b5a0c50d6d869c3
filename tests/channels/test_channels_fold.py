"""What pruned channels still said: folded exactly, carried, or off by no more than the stated
deviation."""

from __future__ import annotations

import pytest
import torch
from support.generators import CASES
from torch import nn

from edgegan.channels.fold import Folded, extract_folded
from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.importance import norm_scales
from edgegan.channels.slicing import extract
from edgegan.errors import ConfigError
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build

EXACT = ["blocks.0.conv1", "blocks.1.conv1", "up2"]
BORDER = ["stem", "down1", "down2", "up1"]


def generator(norm: str, block: str = "dense") -> tuple[nn.Module, ChannelGraph, torch.Tensor]:
    torch.manual_seed(0)
    module = build("resnet", ResnetSpec.from_ngf(6, 2, norm=norm, block=block)).eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    x = torch.randn(2, 3, 16, 16)
    return module, trace_channels(module, x), x


def silence(
    module: nn.Module, graph: ChannelGraph, groups: list[str], shift: bool = True
) -> dict[str, torch.Tensor]:
    """Zeroes the norm scales of a third of the channels of these groups; the plan that leaves them
    out."""
    plan = {}
    for name in groups:
        group = next(each for each in graph.groups.values() if each.name.startswith(name))
        order = torch.randperm(group.size)
        gone, plan[group.name] = order[: group.size // 3], order[group.size // 3 :]
        for member in group.members:
            owner, _, leaf = member.tensor.rpartition(".")
            if "norm" in owner and leaf in ("weight", "bias"):
                with torch.no_grad():
                    tensor = module.get_parameter(member.tensor)
                    tensor[gone] = 0 if leaf == "weight" or not shift else tensor[gone]
    return plan


@pytest.mark.parametrize("block", ["dense", "separable"])
@pytest.mark.parametrize("norm", ["instance_affine", "batch"])
def test_constants_before_reflection_are_a_bias_exactly(norm: str, block: str) -> None:
    module, graph, x = generator(norm, block)
    plan = silence(module, graph, EXACT)
    folded = extract_folded(module, graph, plan)
    assert folded.exact and {fold.kind for fold in folded.folds} == {"bias"}
    assert torch.allclose(folded.module(x), module(x), atol=1e-5)
    assert not torch.allclose(extract(module, graph, plan)(x), module(x), atol=1e-3)


@pytest.mark.parametrize("norm", ["instance_affine", "batch"])
def test_a_carrier_is_exact_everywhere(norm: str) -> None:
    module, graph, x = generator(norm)
    plan = silence(module, graph, EXACT + BORDER)
    folded = extract_folded(module, graph, plan, border="carrier")
    assert folded.exact and "carrier" in {fold.kind for fold in folded.folds}
    for name, kept in folded.plan.items():
        assert len(kept) == len(plan[name]) + (name in BORDER)
    assert torch.allclose(folded.module(x), module(x), atol=2e-5)


@pytest.mark.parametrize(
    ("group", "layer"), [("stem", "down1"), ("down1", "down2"), ("down2", "up1"), ("up1", "up2")]
)
def test_the_deviation_at_a_border_is_the_stated_one(group: str, layer: str) -> None:
    module, graph, x = generator("batch")
    folded = extract_folded(module, graph, silence(module, graph, [group]))
    stated = {fold.layer: fold for fold in folded.folds}
    assert not folded.exact and stated[layer].kind == "border" and stated[layer].deviation > 0
    found = (watch(folded.module, layer, x) - watch(module, layer, x)).abs().max().item()
    assert found == pytest.approx(stated[layer].deviation, rel=1e-4)
    if group != "down2":
        assert [fold.layer for fold in folded.folds] == [layer]


def watch(module: nn.Module, layer: str, x: torch.Tensor) -> torch.Tensor:
    """The output of a layer."""
    seen: list[torch.Tensor] = []
    handle = module.get_submodule(layer).register_forward_hook(lambda *found: seen.append(found[2]))
    module(x)
    handle.remove()
    return seen[0]


def test_zero_scale_and_shift_need_no_folding() -> None:
    module, graph, x = generator("instance_affine")
    plan = silence(module, graph, EXACT + BORDER, shift=False)
    assert torch.allclose(extract(module, graph, plan)(x), module(x), atol=1e-5)
    assert extract_folded(module, graph, plan).exact


def test_channels_that_were_not_constant_are_reported_lost() -> None:
    module, graph, _ = generator("instance")
    folded = extract_folded(module, graph, {"stem": 3})
    assert [(fold.layer, fold.kind) for fold in folded.folds] == [("down1", "lost")]
    assert not folded.exact


@pytest.mark.parametrize("block", ["dense", "separable"])
def test_a_block_pruned_to_nothing_is_the_identity(block: str) -> None:
    module, graph, x = generator("instance", block)
    inner = next(name for name in graph.groups if name.startswith("blocks.0.conv1"))
    folded = extract_folded(module, graph, {inner: 0})
    module.blocks[0] = nn.Identity()
    assert torch.allclose(folded.module(x), module(x), atol=1e-5)
    assert not any(name.startswith("blocks.0") for name in folded.module.state_dict())


@pytest.mark.parametrize("norm", ["instance_affine", "batch"])
def test_a_silent_block_leaves_its_constant(norm: str) -> None:
    module, graph, x = generator(norm)
    nn.init.zeros_(module.blocks[0].norm1.weight)
    folded = extract_folded(module, graph, {"blocks.0.conv1": 0})
    assert folded.exact
    assert torch.allclose(folded.module(x), module(x), atol=1e-5)
    assert not any(name.startswith("blocks.0") for name in folded.module.state_dict())


def test_an_empty_trunk_is_refused() -> None:
    module, graph, _ = generator("batch")
    with pytest.raises(ConfigError, match="constant"):
        extract_folded(module, graph, {"up2": 0})


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.right = nn.Conv2d(3, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(9)
        self.head = nn.Conv2d(9, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1))))


def test_an_empty_part_of_a_concatenation_goes() -> None:
    torch.manual_seed(0)
    module, x = Joined().eval(), torch.randn(1, 3, 8, 8)
    graph = trace_channels(module, x)
    nn.init.zeros_(module.norm.weight.data[:4])
    nn.init.uniform_(module.norm.bias)
    folded: Folded = extract_folded(
        module, graph, {"left": 0, "right": torch.tensor([0, 1, 2, 3, 4])}
    )
    assert folded.exact and "left.weight" not in folded.module.state_dict()
    assert torch.allclose(folded.module(x), module(x), atol=1e-6)


def random_silence(
    module: nn.Module, graph: ChannelGraph, seed: int
) -> dict[str, int | torch.Tensor]:
    """Zeroes the norm scales of random channels of random groups, some of them whole; the plan
    without them."""
    generator = torch.Generator().manual_seed(seed)
    plan: dict[str, int | torch.Tensor] = {}
    for group in graph.free():
        scales = list(norm_scales(module, group))
        if not scales or torch.rand((), generator=generator) < 0.3:
            continue
        order = torch.randperm(group.size, generator=generator)
        count = int(torch.randint(0, group.size, (), generator=generator))
        count = group.size if torch.rand((), generator=generator) < 0.1 else count
        gone = torch.zeros(group.size, dtype=torch.bool)
        gone[order[:count]] = True
        for name, dim in scales:
            runs = [
                (gone if each.group == group.name else torch.zeros(graph.groups[each.group].size))
                .bool()
                .repeat_interleave(each.repeat)
                for each in graph.dimensions[name][dim]
            ]
            module.get_parameter(name).data[torch.cat(runs)] = 0
        plan[group.name] = order[count:] if count < group.size else 0
    return plan


@pytest.mark.parametrize("name", ["batch", "skips", "noise"])
@pytest.mark.parametrize("border", ["bias", "carrier"])
def test_what_claims_to_be_exact_is(name: str, border: str) -> None:
    make, inputs = CASES[name]
    exact = 0
    for seed in range(20):
        torch.manual_seed(seed)
        module, x = make().eval(), inputs()
        for key, tensor in module.state_dict().items():
            if tensor.dim() == 1:
                tensor.uniform_(-0.5, 0.5).add_(0 if key.endswith("bias") else 1)
        graph = trace_channels(module, x)
        try:
            folded = extract_folded(module, graph, random_silence(module, graph, seed), border)
        except ConfigError as error:
            assert "keep" in str(error) or "constant" in str(error)
            continue
        if folded.exact:
            exact += 1
            assert torch.allclose(folded.module(*x), module(*x), atol=1e-5)
    assert exact >= (5 if border == "carrier" else 1)
