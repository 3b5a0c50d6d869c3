"""Choices, random plans, GAN Compression's configs, and specs of extracted sub-networks."""

from __future__ import annotations

import pytest
import torch

from edgegan.channels.fold import extract_folded
from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.channels.space import (
    config_spec,
    count_plans,
    format_config,
    largest,
    parse_config,
    plan_of,
    random_plan,
    renumber_blocks,
    smallest,
    spec_config,
    spec_of,
    width_choices,
)
from edgegan.errors import ConfigError
from edgegan.models.cartoon import CartoonSpec
from edgegan.models.resnet import ResnetSpec
from edgegan.models.zoo import build, count_parameters


def test_choices_by_hand() -> None:
    module = build("resnet", ResnetSpec.from_ngf(16, 1))
    space = width_choices(trace_channels(module, torch.randn(1, 3, 16, 16)), 0.25, 8)
    assert space["stem"] == (8, 16) and space["down1"] == (8, 16, 24, 32)
    assert space["down2"] == (16, 24, 32, 40, 48, 56, 64)
    assert count_plans(space) == 2 * 4 * 7 * 7 * 4 * 2
    assert smallest(space)["down2"] == 16 and largest(space)["down2"] == 64
    assert random_plan(space, 3) == random_plan(space, 3)
    assert len({tuple(random_plan(space, seed).values()) for seed in range(20)}) > 10


def test_published_config() -> None:
    spec = config_spec(parse_config("32_32_48_32_48_48_16_16"), block="separable")
    assert (spec.stem, spec.down, spec.trunk, spec.up) == (32, 64, 192, (32, 16))
    assert spec.inner == (128,) * 3 + (192,) * 6
    assert count_parameters(build("resnet", spec)) == 822_051
    assert format_config(spec_config(spec)) == "32_32_48_32_48_48_16_16"
    six = config_spec(parse_config("32_32_40_48_16_24"))
    assert (six.trunk, six.inner, six.up) == (160, (192,) * 9, (32, 24))
    assert spec_config(six) == (32, 32, 40, 48, 48, 48, 16, 24)
    for text in ("32_32", "a_b_c_d_e_f_g_h", "0_1_1_1_1_1_1_1", ""):
        with pytest.raises(ConfigError, match="not a width config"):
            parse_config(text)
    with pytest.raises(ConfigError, match="eight numbers"):
        spec_config(six.model_copy(update={"down": 63}))


SPECS = {
    "resnet": ResnetSpec.from_ngf(6, 2, block="separable", norm="instance_affine"),
    "cartoon": CartoonSpec(
        stem=6, down1=(9, 8), down2=(10, 9), inner=(8, 7), up1=(8, 7), up2=(6, 5)
    ),
}


@pytest.mark.parametrize("family", SPECS)
def test_an_extracted_family_member_is_built_from_its_spec(family: str) -> None:
    spec, x = SPECS[family], torch.randn(1, 3, 16, 16)
    module = build(family, spec).eval()
    graph = trace_channels(module, x)
    space = width_choices(graph, 0.25, 1)
    for seed in range(20):
        plan = random_plan(space, seed)
        narrow = spec_of(spec, plan)
        assert plan_of(narrow, graph) == plan
        built, extracted = build(family, narrow).eval(), extract(module, graph, plan)
        built.load_state_dict(extracted.state_dict())
        assert torch.equal(built(x), extracted(x))


def test_a_plan_of_a_config_slices_the_supernet() -> None:
    spec = config_spec((8,) * 8, block="separable")
    graph = trace_channels(build("resnet", spec), torch.randn(1, 3, 16, 16))
    plan = plan_of(config_spec((4, 5, 6, 7, 8, 4, 5, 6), block="separable"), graph)
    assert plan["blocks.3.conv1.pointwise"] == 32 and plan["down2"] == 24 and plan["up1"] == 10


def test_a_block_left_out_is_left_out_of_the_spec() -> None:
    spec, x = ResnetSpec.from_ngf(6, 3), torch.randn(1, 3, 16, 16)
    module = build("resnet", spec).eval()
    plan = {"blocks.1.conv1": 0, "stem": 4}
    folded = extract_folded(module, trace_channels(module, x), plan)
    narrow = spec_of(spec, plan)
    assert narrow.inner == (24, 24)
    built = build("resnet", narrow).eval()
    built.load_state_dict(renumber_blocks(folded.module.state_dict()))
    assert torch.allclose(built(x), folded.module(x), atol=1e-6)


def test_other_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match="no width for channel group 'head'"):
        spec_of(ResnetSpec.from_ngf(6, 2), {"head": 2})
