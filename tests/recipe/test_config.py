"""Recipes: shipped ones parse, overrides apply, wrong keys name the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegan.errors import ConfigError
from edgegan.recipe.loading import load_recipe, recipe_fields, shipped_recipes


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_shipped_recipes_parse(name: str) -> None:
    assert load_recipe(name, []).name == name


def test_every_field_is_described() -> None:
    assert all(recipe_fields().values())


def test_overrides() -> None:
    recipe = load_recipe(
        "resnet", ["distill.steps=7", "data.size=[64,48]", "student.widths={stem: 8}"]
    )
    assert recipe.distill.steps == 7
    assert recipe.data.size == (64, 48)
    assert recipe.student.widths == {"stem": 8}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("distill.stepz=3", "distill.steps"),
        ("distil.steps=3", "distil"),
        ("distill.steps=-1", "distill.steps"),
        ("distill.steps", "key.subkey=value"),
        ("name.x=1", "'name' is a value"),
        ("student.norm=layer", "student.norm"),
        ("distill.beta1=1", "distill.beta1"),
        ("distill.constant_share=1.5", "distill.constant_share"),
        ("distill.feature_error=mse", "distill.feature_error"),
        ("slim.finetune_rate=0", "slim.finetune_rate"),
        ("distill={l1_weight: 0, gradient_weight: 0, feature_weight: 0}", "nothing to distil"),
    ],
)
def test_wrong_overrides_name_the_key(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("resnet", [override])


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="cartoongan"):
        load_recipe("cartongan", [])


def test_malformed_yaml(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_recipe(str(path), [])
