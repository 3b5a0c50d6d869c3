"""GAN Compression's published rows as recipes: what the released scripts set, the spaces, the configs they led to."""

from __future__ import annotations

import pytest
import torch

from edgegan.channels.graph import trace_channels
from edgegan.compress.search.widths import WidthSpace, searched_space
from edgegan.models.catalogue import measure_spec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.recipe.headers import find_header
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
