"""Choices, random plans, GAN Compression's configs, and specs of extracted sub-networks."""

from __future__ import annotations

import pytest
import torch

from edgegan.channels.fold import extract_folded
from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract, run_sliced, slice_parameters
from edgegan.channels.space import (
    count_plans,
    largest,
    random_config,
    random_plan,
    smallest,
    width_choices,
)
from edgegan.errors import ConfigError
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.residual_blocks import renumber_blocks
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build


def test_choices_by_hand() -> None:
    module = build("resnet", ResnetSpec.from_ngf(16, 1))
    space = width_choices(trace_channels(module, torch.randn(1, 3, 16, 16)), 0.25, 8)
    assert space["stem"] == (8, 16) and space["down1"] == (8, 16, 24, 32)
    assert space["down2"] == (16, 24, 32, 40, 48, 56, 64)
    assert count_plans(space) == 2 * 4 * 7 * 7 * 4 * 2
    assert smallest(space)["down2"] == 16 and largest(space)["down2"] == 64
    assert random_plan(space, 3) == random_plan(space, 3)
    assert len({tuple(random_plan(space, seed).values()) for seed in range(20)}) > 10


@pytest.mark.parametrize("config", ["32_32_48_32_48_48_16_16", "16_24_16_32_16_24_32_16"])
def test_configs_are_written_back(config: str) -> None:
    for spec in (ResnetSpec.from_config(config), SpadeSpec.from_config(config)):
        assert spec.to_config() == config
        with pytest.raises(ConfigError, match="eight numbers"):
            spec.model_copy(update={"trunk": spec.trunk + 1}).to_config()


def test_random_configs_are_repeatable() -> None:
    choices = [[16, 24, 32]] * 8
    assert random_config(choices, 5) == random_config(choices, 5)
    assert len({random_config(choices, seed) for seed in range(20)}) > 15
    assert ResnetSpec.from_config(random_config(choices, 5)).stem in (16, 24, 32)


SPECS: dict[str, tuple[Spec, tuple[int, ...]]] = {
    "resnet": (
        ResnetSpec.from_ngf(6, 2, block="separable", norm="instance_affine"),
        (1, 3, 16, 16),
    ),
    "resnet, antialiased, four halvings": (
        ResnetSpec.from_ngf(3, 2, 4, halving="blurred", doubling="blurred", norm="instance_affine"),
        (1, 3, 32, 32),
    ),
    "resnet, one halving": (ResnetSpec.from_ngf(6, 1, 1), (1, 3, 16, 16)),
    "cartoon": (
        CartoonSpec(stem=6, down1=(9, 8), down2=(10, 9), inner=(8, 7), up1=(8, 7), up2=(6, 5)),
        (1, 3, 16, 16),
    ),
    "unet": (UnetSpec.from_ngf(4, halvings=5), (1, 3, 32, 32)),
    "transformer_net": (
        TransformerSpec(stem=6, down=8, trunk=10, inner=(9, 8), up=(8, 6), block="separable"),
        (1, 3, 16, 16),
    ),
    "sngan": (SnganSpec(latent=6, stem=9, width=(8, 7), inner=(6, 5)), (1, 6)),
    "animegan": (
        AnimeSpec(
            stem=4,
            half=(5, 6),
            quarter=(7, 8, 9),
            expanded=(12, 14, 10),
            trunk=8,
            narrow=7,
            up1=(6, 5),
            up2=(6, 5, 4),
        ),
        (1, 3, 16, 16),
    ),
    "spade": (SpadeSpec.from_ngf(3, classes=5, block="separable"), (1, 6, 128, 128)),
}


@pytest.mark.parametrize("family", SPECS)
def test_an_extracted_family_member_is_built_from_its_spec(family: str) -> None:
    spec, shape = SPECS[family]
    family = family.split(",")[0]
    x = torch.randn(shape)
    module = build(family, spec).eval()
    graph = trace_channels(module, x)
    assert spec.plan(graph) == {group.name: group.size for group in graph.free()}
    space = width_choices(graph, 0.25, 1)
    for seed in range(20):
        plan = random_plan(space, seed)
        if family == "spade":
            narrow = spec.model_copy(update={"hidden": tuple(1 + (seed + i) % 6 for i in range(7))})
            hidden = narrow.plan(graph)
            plan = {name: hidden[name] if "shared" in name else plan[name] for name in plan}
        narrow = spec.narrowed(graph, plan)
        assert narrow.plan(graph) == plan
        built, extracted = build(family, narrow).eval(), extract(module, graph, plan)
        built.load_state_dict(extracted.state_dict())
        expected = extracted(x)
        assert torch.equal(built(x), expected)
        assert torch.equal(run_sliced(module, slice_parameters(module, graph, plan), x), expected)


def test_one_number_for_groups_of_different_widths_is_refused() -> None:
    spec = SpadeSpec.from_ngf(2, classes=5)
    graph = trace_channels(build("spade", spec), torch.randn(1, 6, 64, 64))
    with pytest.raises(ConfigError, match="hidden holds one number"):
        spec.narrowed(graph, {"head.spade1.shared": 3})


def test_a_plan_of_a_config_slices_the_supernet() -> None:
    spec = ResnetSpec.from_config("8_8_8_8_8_8_8_8")
    graph = trace_channels(build("resnet", spec), torch.randn(1, 3, 16, 16))
    plan = ResnetSpec.from_config("4_5_6_7_8_4_5_6").plan(graph)
    assert plan["blocks.3.conv1.pointwise"] == 32 and plan["down2"] == 24 and plan["up1"] == 10


def test_a_block_left_out_is_left_out_of_the_spec() -> None:
    spec, x = ResnetSpec.from_ngf(6, 3), torch.randn(1, 3, 16, 16)
    module = build("resnet", spec).eval()
    plan = {"blocks.1.conv1": 0, "stem": 4}
    graph = trace_channels(module, x)
    folded = extract_folded(module, graph, plan)
    narrow = spec.narrowed(graph, plan)
    assert narrow.inner == (24, 24)
    built = build("resnet", narrow).eval()
    built.load_state_dict(renumber_blocks(folded.module.state_dict()))
    assert torch.allclose(built(x), folded.module(x), atol=1e-6)


def test_other_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match="no width for channel group 'head'"):
        spec = ResnetSpec.from_ngf(6, 2)
        spec.narrowed(trace_channels(spec.build(), torch.randn(1, 3, 16, 16)), {"head": 2})
