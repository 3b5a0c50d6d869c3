"""GAN Compression's published rows as recipes: what the released scripts set, the spaces, the configs they led to."""

from __future__ import annotations

import math

import pytest
import torch

from edgegan.channels.graph import trace_channels
from edgegan.compress.search.widths import WidthSpace, searched_space
from edgegan.models.catalogue import measure_spec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.recipe.headers import all_headers, find_header
from edgegan.recipe.loading import load_recipe
from edgegan.recipe.schema import Recipe

CHANNELS_32, CHANNELS_48 = 6561, 5184
ROWS = {  # ngf of the teacher and of the widest student, ndf, loss, L1, features, constant share, space, config
    "horse2zebra": (64, 32, 64, "lsgan", 10, 0.01, 1 / 2, CHANNELS_32, "16_16_32_16_32_32_16_16"),
    "edges2shoes": (64, 48, 128, "hinge", 100, 1, 1 / 4, CHANNELS_48, "32_32_48_32_48_48_16_16"),
    "map2aerial": (96, 48, 128, "hinge", 10, 0.01, 1 / 3, CHANNELS_48, "32_32_48_32_48_32_16_16"),
    "cityscapes": (96, 48, 128, "hinge", 100, 1, 2 / 5, CHANNELS_48, "32_32_48_32_32_48_24_24"),
}


def widest(recipe: Recipe) -> ResnetSpec:
    """The widest student of a recipe's own teacher."""
    inputs = recipe.data.label_classes if recipe.data.kind == "labels" else 3
    teacher = ResnetSpec.from_ngf(
        recipe.train.ngf, recipe.train.depth or 9, in_channels=inputs, **recipe.train.spec
    )
    student = recipe.student
    return teacher.scaled(student.scale, student.round_to, student.block, student.norm)


def space_of(recipe: Recipe) -> WidthSpace:
    """What its search chooses from."""
    spec = widest(recipe)
    graph = trace_channels(spec.build(), torch.zeros(1, spec.in_channels, 32, 32))
    return searched_space(graph, ResnetSpec, recipe.supernet)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_set_as_released(name: str) -> None:
    recipe = load_recipe(f"gan_compression_{name}", [])
    ngf, student_ngf, ndf, mode, l1, features, constant, size, config = ROWS[name]
    train, distill = recipe.train, recipe.distill
    assert (train.ngf, train.ndf, train.gan_mode) == (ngf, ndf, mode)
    assert (distill.gan_mode, distill.l1_weight, distill.feature_weight) == (mode, l1, features)
    assert distill.constant_share == pytest.approx(constant, abs=1e-6)
    adam = (distill.beta1, distill.beta2, distill.discriminator_beta1, distill.discriminator_beta2)
    assert adam == (0.5, 0.999, 0.5, 0.999)
    assert distill.learning_rate == distill.discriminator_learning_rate == 2e-4
    assert (distill.warmup, distill.discriminator_decay, distill.gradient_weight) == (0, True, 0)
    assert (distill.feature_error, distill.tap_pool, distill.gan_weight) == ("raw", 1, 1)
    assert (recipe.student.start, recipe.supernet.sampling, recipe.supernet.networks) == (
        "teacher",
        "uniform",
        1,
    )
    assert recipe.supernet.steps == 2 * recipe.supernet.pretrain_steps
    spec, space = widest(recipe), space_of(recipe)
    assert spec.to_config() == "_".join([str(student_ngf)] * 8)
    assert space.size() == recipe.search.exhaustive == size
    numbers = [int(number) for number in config.split("_")]
    rows = space.choices.values()
    assert all(number in row for number, row in zip(numbers, rows, strict=True))
    cost = measure_spec(spec.with_config(config), recipe.data.size)
    assert recipe.budget.macs is not None
    assert recipe.budget.macs * 0.99 < cost.macs <= recipe.budget.macs
    assert f"--widths {config}" in find_header(recipe.name).fields["Expected"]


@pytest.mark.parametrize("name", ROWS)
def test_its_quick_variant_has_the_same_stages(name: str) -> None:
    full, quick = (load_recipe(f"gan_compression_{name}{tail}", []) for tail in ("", "_quick"))
    same = ("l1_weight", "feature_weight", "feature_error", "gan_weight", "gan_mode", "tap_pool")
    for key in (*same, "beta1", "beta2", "discriminator_decay", "gradient_weight"):
        assert getattr(quick.distill, key) == getattr(full.distill, key), key
    assert quick.data.kind == full.data.kind
    assert quick.train.method == full.train.method
    assert quick.student.start == full.student.start
    assert quick.supernet.tied == full.supernet.tied
    assert space_of(quick).size() == quick.search.exhaustive == 256


FAST = {  # the config that the published search led to, decades of its space
    "horse2zebra": ("16_16_24_16_32_64_16_24", 5**8),
    "edges2shoes": ("24_24_40_56_24_56_16_40", 7**8),
    "map2aerial": ("16_16_40_40_40_64_24_16", 7**8),
    "cityscapes": ("16_24_48_56_40_48_24_16", 7**8),
    "gaugan_cityscapes": ("32_32_32_48_32_24_24_32", 4**5 * 5**3),
}


@pytest.mark.parametrize("name", FAST)
def test_the_fast_pipeline_is_set_as_released(name: str) -> None:
    """A dense teacher, a supernet as wide from random weights, a discriminator of its own, evolution."""
    recipe, original = (load_recipe(f"gan_compression_{name}{tail}", []) for tail in ("_fast", ""))
    config, size = FAST[name]
    assert (recipe.student.start, recipe.student.scale, recipe.supernet.pretrain_steps) == (
        "random",
        1.0,
        0,
    )
    assert (recipe.distill.discriminator, recipe.train.ngf) == ("fresh", 64)
    assert "block" not in recipe.train.spec
    same = ("l1_weight", "feature_weight", "feature_error", "gan_mode", "constant_share", "beta1")
    for key in (*same, "discriminator_feature_weight", "discriminator_learning_rate"):
        assert getattr(recipe.distill, key) == getattr(original.distill, key), key
    assert math.prod(map(len, recipe.supernet.choices)) == size
    assert (recipe.search.population, recipe.search.generations) == (100, 500)
    spec = spade(recipe) if name.startswith("gaugan") else widest(recipe)
    cost = measure_spec(spec.with_config(config), recipe.data.size)
    assert recipe.budget.macs is not None
    assert recipe.budget.macs * 0.99 < cost.macs <= recipe.budget.macs
    assert f"--widths {config}" in find_header(recipe.name).fields["Expected"]


def spade(recipe: Recipe) -> SpadeSpec:
    """The widest student of a GauGAN recipe."""
    student = recipe.student
    return SpadeSpec.from_ngf(recipe.train.ngf, **recipe.train.spec).scaled(
        student.scale, student.round_to, student.block, student.norm
    )


def test_gaugan_is_set_as_released() -> None:
    recipe = load_recipe("gan_compression_gaugan_cityscapes", [])
    distill = recipe.distill
    weights = (distill.feature_weight, distill.discriminator_feature_weight, distill.gan_weight)
    assert (distill.gan_mode, weights, distill.l1_weight) == ("hinge", (10, 10, 1), 0)
    assert (distill.learning_rate, distill.discriminator_learning_rate) == (1e-4, 4e-4)
    adam = (distill.beta1, distill.beta2, distill.discriminator_beta1, distill.discriminator_beta2)
    assert adam == (0.0, 0.9, 0.0, 0.9)
    assert math.prod(map(len, recipe.supernet.choices)) == recipe.search.exhaustive == 15_552
    published = {  # parameters and MACs as the papers count them
        "32_32_48_32_32_32_32_24": (20_425_019, 31.663),
        "32_40_40_32_40_24_32_24": (21_002_811, 31.168),
        "32_32_32_48_32_24_24_32": (20_174_275, 31.218),
    }
    for config, (parameters, billions) in published.items():
        cost = measure_spec(SpadeSpec.from_config(config), recipe.data.size)
        assert cost.parameters == parameters
        assert cost.macs_published / 1e9 == pytest.approx(billions, abs=1e-3)


def test_every_published_row_is_listed() -> None:
    """The compressed rows of both papers' tables, each with its command, in what `edgegan recipes` prints."""
    rows = " ".join(header.fields.get("Rows", "") for header in all_headers())
    named = ["GS-8 of horse2zebra, zebra2horse, summer2winter and winter2summer", "GS-32 of each"]
    named += ["CartoonGAN at 1/47", "SNGAN on CIFAR-10 at 1/8", "32_32_40_48_16_32 --legacy"]
    configs = ["24_24_24_32_20_16", "48_32_40_40_24_32", "32_32_48_32_32_32_32_24"]
    configs += ["32_40_40_32_40_24_32_24", *(config for config, _ in FAST.values())]
    configs += [config for *_, config in ROWS.values()]
    for name in (*named, *configs):
        assert name in rows, name
