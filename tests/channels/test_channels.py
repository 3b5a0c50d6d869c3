"""Slices, extracted modules, masked modules and permutations must agree, for families and for a
user's own modules."""

from __future__ import annotations

import pytest
import torch
from support.generators import CASES, Case, Noise, image, small_resnet
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.importance import order_channels, permute, readers, score_channels
from edgegan.channels.slicing import extract, run_sliced, slice_parameters
from edgegan.errors import ConfigError


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    make, inputs = CASES[request.param]
    module, example = make(), inputs()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point() and tensor.dim() == 1:
            torch.nn.init.uniform_(tensor.data, 0.5, 1.5)
            if name.endswith(("bias", "running_mean")):
                tensor.data -= 1
    return module.eval(), example, trace_channels(module, example)


def draw(graph: ChannelGraph, seed: int) -> dict[str, int | torch.Tensor]:
    """Random widths; every other group by indices."""
    generator = torch.Generator().manual_seed(seed)
    plan: dict[str, int | torch.Tensor] = {}
    for number, group in enumerate(graph.free()):
        width = int(torch.randint(1, group.size + 1, (), generator=generator))
        order = torch.randperm(group.size, generator=generator)
        plan[group.name] = width if (number + seed) % 2 else order[:width]
    return plan


def test_sliced_equals_extracted_bit_for_bit(case: Case) -> None:
    module, example, graph = case
    full = module(*example)
    assert torch.equal(run_sliced(module, slice_parameters(module, graph, {}), *example), full)
    for seed in range(20):
        plan = draw(graph, seed)
        sliced = slice_parameters(module, graph, plan)
        extracted = extract(module, graph, plan)
        state = extracted.state_dict()
        assert all(sliced.tensors[name].shape == tensor.shape for name, tensor in state.items())
        with torch.no_grad():
            assert torch.equal(run_sliced(module, sliced, *example), extracted(*example))
            extracted.train()
            module.train()
            twin = extract(module, graph, plan)
            torch.manual_seed(1)
            expected = twin(*example)
            torch.manual_seed(1)
            held = {name: buffer.clone() for name, buffer in module.named_buffers()}
            assert torch.equal(run_sliced(module, sliced, *example), expected)
            for name, buffer in module.named_buffers():
                buffer.copy_(held[name])
            module.eval()
    assert torch.equal(module(*example), full)


def test_gradients_of_a_slice_reach_exactly_its_entries(case: Case) -> None:
    module, example, graph = case
    for seed in range(20):
        plan = draw(graph, seed)
        module.zero_grad()
        run_sliced(
            module, slice_parameters(module, graph, plan), *example
        ).square().sum().backward()
        extracted = extract(module, graph, plan)
        extracted(*example).square().sum().backward()
        own = dict(extracted.named_parameters())
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            inside = slice_parameters_of(parameter.grad, name, graph, plan)
            assert torch.equal(inside, own[name].grad)
            assert parameter.grad.count_nonzero() == inside.count_nonzero()


def slice_parameters_of(
    tensor: torch.Tensor, name: str, graph: ChannelGraph, plan: dict[str, int | torch.Tensor]
) -> torch.Tensor:
    from edgegan.channels.slicing import slice_tensor

    return slice_tensor(tensor, graph.dimensions.get(name, {}), graph, plan)


def test_leading_slices_are_views() -> None:
    module = small_resnet()
    graph = trace_channels(module, image())
    sliced = slice_parameters(module, graph, {"stem": 3, "down1": 5})
    assert sliced.tensors["down1.weight"].shape == (5, 3, 3, 3)
    assert sliced.tensors["down1.weight"].data_ptr() == module.down1.weight.data_ptr()


def test_groups_of_the_resnet() -> None:
    graph = trace_channels(small_resnet(), image())
    widths = {group.name: group.size for group in graph.free()}
    inner = {"blocks.0.conv1": 24, "blocks.1.conv1": 24}
    assert widths == {"stem": 6, "down1": 12, "down2": 24, **inner, "up1": 12, "up2": 6}
    assert {group.name for group in graph.groups.values() if group.fixed} == {"x", "head"}


def test_literal_reshape_follows_the_linear() -> None:
    graph = trace_channels(Noise(), torch.randn(1, 5))
    assert [(group.name, group.size) for group in graph.free()] == [
        ("first", 8),
        ("conv1", 6),
        ("conv2", 8),
    ]
    assert graph.dimensions["first.weight"][0][0].repeat == 16


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(2)
        return x + torch.bmm(torch.bmm(flat, flat.transpose(1, 2)), flat).view_as(x)


class Stated(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(1, 4, 1, 1)


class Twice(nn.Module):
    """A tensor joined with itself, then grouped, then added to a plain convolution: parts of
    parts."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Conv2d(3, 4, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.beside = nn.Conv2d(3, 8, 1)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.start(x)
        return self.head(self.grouped(torch.cat([y, y], 1)) + self.beside(x))


def test_a_tensor_joined_with_itself_keeps_its_halves_equal() -> None:
    module, x = Twice(), torch.randn(1, 3, 8, 8)
    graph = trace_channels(module, x)
    assert [(group.name, group.size) for group in graph.free()] == [("start", 2)]
    assert [each.repeat for each in graph.dimensions["beside.weight"][0]] == [2, 2]
    for plan in ({"start": 1}, {"start": torch.tensor([1])}):
        sliced = slice_parameters(module, graph, plan)
        assert torch.equal(run_sliced(module, sliced, x), extract(module, graph, plan)(x))
    extracted = extract(module, graph, {"start": 1})
    assert extracted.grouped.groups == 2 and extracted.beside.weight.shape == (4, 3, 1, 1)


@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (Attention(), "operation bmm in '1.0' (Attention)"),
        (nn.LayerNorm(8), "LayerNorm '1.0'"),
        (Stated(), "operation _tensor_constant0 in '1.0' (Stated)"),
        (nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 1)), "ParametrizedConv2d '1.0'"),
    ],
)
def test_what_has_no_rule_keeps_its_channels_and_is_named(layer: nn.Module, operation: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(layer), nn.Conv2d(4, 3, 1))
    graph = trace_channels(module, torch.randn(1, 3, 8, 8))
    assert not graph.free()
    assert operation in [each.operation for each in graph.held]


def test_bad_plans_are_refused() -> None:
    module = small_resnet()
    graph = trace_channels(module, image())
    for plan, message in [
        ({"steam": 3}, "did you mean 'stem'"),
        ({"head": 2}, "network input or output"),
        ({"stem": 7}, "has 6 channels"),
        ({"stem": torch.tensor([1, 1])}, "distinct"),
        ({"stem": torch.tensor([6])}, "0..5"),
    ]:
        with pytest.raises(ConfigError, match=message):
            slice_parameters(module, graph, plan)


def test_permutation_leaves_the_output(case: Case) -> None:
    module, example, graph = case
    before = module(*example)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        orders = {
            group.name: torch.randperm(group.size, generator=generator) for group in graph.free()
        }
        first = next(module.parameters()).detach().clone()
        permute(module, graph, orders)
        assert not torch.equal(first, next(module.parameters()))
        assert torch.allclose(module(*example), before, atol=1e-5)


def test_scores_and_orders(case: Case) -> None:
    module, example, graph = case
    for scores in (
        score_channels(module, graph, "l1"),
        score_channels(module, graph, "taylor", lambda: module(*example).square().mean()),
    ):
        assert {name: len(score) for name, score in scores.items()} == {
            group.name: group.size for group in graph.free()
        }
        permute(module, graph, order_channels(scores))
    sorted_now = score_channels(module, graph, "l1")
    assert all(bool((score >= 0).all()) for score in sorted_now.values())


def test_taylor_is_the_first_order_change_of_removing_a_channel() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    x, target = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8)
    graph = trace_channels(module, x)

    def loss() -> torch.Tensor:
        return (module(x) * target).sum()

    scores = score_channels(module, graph, "taylor", loss)["0"]
    whole = loss()
    for channel in range(4):
        keep = torch.tensor([each for each in range(4) if each != channel])
        cut = (run_sliced(module, slice_parameters(module, graph, {"0": keep}), x) * target).sum()
        assert torch.allclose((whole - cut).abs(), scores[channel], rtol=1e-4, atol=1e-4)


def test_norm_scores_are_the_scales() -> None:
    module = small_resnet(norm="instance_affine")
    graph = trace_channels(module, image())
    nn.init.uniform_(module.stem_norm.weight, -1, 1)
    scores = score_channels(module, graph, "norm")
    assert torch.equal(scores["stem"], module.stem_norm.weight.detach().abs())
    with pytest.raises(ConfigError, match="no weights to score by 'norm'"):
        plain = small_resnet()
        score_channels(plain, trace_channels(plain, image()), "norm")


def test_masked_equals_extracted(case: Case) -> None:
    module, example, graph = case
    if any(isinstance(layer, nn.GroupNorm) for layer in module.modules()):
        pytest.skip("statistics over channels: not declared exact")
    original = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for seed in range(20):
        plan = draw(graph, seed)
        module.load_state_dict(original)
        extracted = extract(module, graph, plan)
        with torch.no_grad():
            for group in graph.free():
                gone = torch.ones(group.size)
                choice = plan[group.name]
                gone[torch.arange(choice) if isinstance(choice, int) else choice] = 0
                for name, dim in readers(module, group):
                    entries = torch.cat(
                        [
                            gone.repeat_interleave(each.repeat)
                            if each.group == group.name
                            else torch.zeros(graph.groups[each.group].size * each.repeat)
                            for each in graph.dimensions[name][dim]
                        ]
                    )
                    where = entries.nonzero().flatten()
                    module.get_parameter(name).index_fill_(dim, where, 0)
        assert torch.allclose(module(*example), extracted(*example), atol=1e-5)
