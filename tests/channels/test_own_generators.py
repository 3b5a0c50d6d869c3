"""Generators whose forward reads sizes or has operations without a rule: traced, narrowed where they can be, held
elsewhere."""

from __future__ import annotations

import pytest
import torch
from support.own_generators import OWN, OtherWhenNarrow
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.importance import permute
from edgegan.channels.slicing import extract, run_sliced, slice_parameters
from edgegan.channels.tracing import symbolic_trace
from edgegan.errors import ConfigError


@pytest.fixture(params=OWN)
def own(request: pytest.FixtureRequest) -> tuple[str, nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return request.param, OWN[request.param]().eval(), torch.rand(2, 3, 20, 16)


FREE = {
    "padded": {"first", "down"},
    "gated": {"first", "wide"},
    "tokens": {"grow", "refine"},
    "blurred": {"inner"},
    "filled": {"first"},
    "selected": {"first", "judge.0"},
}


def test_a_trace_computes_what_the_module_does(own: tuple[str, nn.Module, torch.Tensor]) -> None:
    _, module, x = own
    before = dict(vars(module))
    program = symbolic_trace(module, x)
    for picture in (x, torch.flip(x, (2, 3)), x):
        assert torch.equal(program(picture), module(picture))
    assert vars(module) == before


def test_what_can_be_narrowed_is_and_its_channels_go_together(
    own: tuple[str, nn.Module, torch.Tensor],
) -> None:
    name, module, x = own
    graph = trace_channels(module, x)
    assert {group.name.split(":")[0] for group in graph.free()} == FREE[name]
    plan = {group.name: max(1, group.size // 2) for group in graph.free()}
    extracted = extract(module, graph, plan)
    assert extracted(x).shape == module(x).shape
    sliced = slice_parameters(module, graph, plan)
    assert torch.equal(run_sliced(module, sliced, x), extracted(x))
    expected = module(x)
    chance = torch.Generator().manual_seed(0)
    orders = {each.name: torch.randperm(each.size, generator=chance) for each in graph.free()}
    permute(module, graph, orders)
    assert torch.allclose(module(x), expected, atol=1e-5)


def test_what_holds_channels_is_named() -> None:
    graph = trace_channels(OWN["tokens"](), torch.rand(1, 3, 8, 8))
    held = {each.operation: each for each in graph.held}
    assert any(operation.startswith("operation reshape") for operation in held)
    assert "first" in {name for each in graph.held for name in each.groups}


def test_a_forward_that_does_something_else_when_narrow_keeps_its_width() -> None:
    graph = trace_channels(OtherWhenNarrow(), torch.rand(1, 3, 8, 8))
    assert not graph.free()
    assert [each.groups for each in graph.held] == [("first",)]


class Data(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean() > 0 else -x


class Reads(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * int(x.max())


class Makes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = nn.Conv2d(3, 3, 1)(x)
        return made


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Data(), "branches on values that depend on the picture"),
        (Reads(), "reads a number that depends on the picture"),
        (Makes(), "makes a Conv2d with weights"),
    ],
)
def test_what_depends_on_the_picture_is_refused_by_place(layer: nn.Module, words: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(layer))
    with pytest.raises(ConfigError, match=rf"'1\.0' of Sequential cannot be traced.*{words}"):
        trace_channels(module, torch.rand(1, 3, 8, 8))
