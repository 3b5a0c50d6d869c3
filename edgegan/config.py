"""The recipe: one YAML file is one run. Unknown keys are errors that name the nearest valid one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from edgegan.errors import ConfigError, nearest
from edgegan.recipe_data import Data as Data
from edgegan.recipe_data import Section as Section

Norm = Literal["instance", "instance_affine", "batch", "batch-global"]
Block = Literal["dense", "separable"]


class Student(Section):
    """The student's shape: the teacher's family, narrower, with this residual block and norm."""

    scale: float = Field(0.375, gt=0, le=1, description="every width of the teacher times this")
    round_to: int = Field(8, ge=1, description="widths are multiples of this many channels")
    widths: dict[str, Any] = Field(
        default_factory=dict,
        description="spec fields set by hand after scaling, such as {stem: 16}",
    )
    block: Block = Field(
        "separable",
        description="residual convolutions: separable (depthwise and pointwise) or dense",
    )
    norm: Norm = Field(
        "instance_affine",
        description="instance, instance_affine (dynamic int8), batch (static full int8) or batch-global (batch with a "
        "small branch that sees the whole picture; static full int8)",
    )


class Distill(Section):
    """Training of the student on cached teacher outputs."""

    steps: int = Field(6000, ge=1, description="optimiser steps")
    batch: int = Field(1, ge=1, description="crops a step")
    learning_rate: float = Field(
        2e-3, gt=0, description="Adam's step size after warm-up; falls linearly to zero"
    )
    warmup: int = Field(100, ge=0, description="steps in which the learning rate rises linearly")
    l1_weight: float = Field(1.0, ge=0, description="weight of mean |student - teacher|")
    gradient_weight: float = Field(
        1.0, ge=0, description="weight of the same on horizontal and vertical differences"
    )
    feature_weight: float = Field(
        0.05, ge=0, description="weight of intermediate features through 1x1 maps at the taps"
    )
    tap_pool: int = Field(
        2,
        ge=1,
        description="features are averaged over squares of this side before they are cached",
    )
    gan_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the adversarial term with the teacher's inherited discriminator (LSGAN); 0: none",
    )
    discriminator_learning_rate: float = Field(
        2e-4, gt=0, description="Adam's step size of the discriminator"
    )
    freeze_statistics: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, at the end, in which BatchNorm uses the statistics it will be exported with",
    )
    validate_every: int = Field(500, ge=1, description="steps between validations")
    checkpoint_seconds: float = Field(
        60.0, gt=0, description="seconds between checkpoints that a killed run resumes from"
    )

    @model_validator(mode="after")
    def some_loss(self) -> Distill:
        """A run without any reconstruction term trains nothing."""
        if self.l1_weight == 0 and self.gradient_weight == 0 and self.feature_weight == 0:
            raise ValueError(
                "l1_weight, gradient_weight and feature_weight are all 0: nothing to distil"
            )
        return self


class Recipe(Section):
    """One compression run."""

    name: str = Field(
        description="short name of the run and of its student",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    )
    description: str = Field("", description="what it does, in a line")
    teacher: Path | None = Field(
        None, description="teacher: a generator package or a checkpoint file"
    )
    discriminator: Path | None = Field(
        None, description="checkpoint of the teacher's discriminator, for a checkpoint teacher"
    )
    data: Data = Data()
    student: Student = Student()
    distill: Distill = Distill()
    seed: int = Field(0, ge=0, description="seed of crops, weights and order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto: CUDA when there is one"
    )


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with edgegan, by name."""
    folder = Path(str(resources.files("edgegan") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_fields(model: type[BaseModel] = Recipe, prefix: str = "") -> dict[str, str]:
    """Every dotted key of a recipe with its description."""
    fields: dict[str, str] = {}
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            fields.update(recipe_fields(inner, f"{prefix}{name}."))
        else:
            choices = get_args(info.annotation)
            values = (
                f" ({', '.join(map(str, choices))})"
                if choices and all(isinstance(c, str) for c in choices)
                else ""
            )
            fields[prefix + name] = (info.description or "") + values
    return fields


def load_recipe(source: str, overrides: list[str]) -> Recipe:
    """Reads a shipped recipe by name or a YAML file by path, applies `a.b=value` overrides, validates.

    Raises ConfigError naming the file and the dotted key, with the nearest valid key.
    """
    shipped = shipped_recipes()
    path = Path(source)
    if source in shipped:
        path = shipped[source]
    elif not path.is_file():
        raise ConfigError(
            f"no recipe '{source}'{nearest(source, shipped)}; shipped: {', '.join(shipped)}; or give a YAML file"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe {path} is not readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"recipe {path} must be a mapping of keys to values, not {type(values).__name__}"
        )
    for override in overrides:
        apply_override(values, override)
    return parse_recipe(values, str(path))


def apply_override(values: dict[str, Any], override: str) -> None:
    """Sets `a.b=value` in a nested dictionary; the value is read as YAML."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r}: write it as key.subkey=value")
    target = values
    *parents, last = key.split(".")
    for parent in parents:
        child = target.get(parent)
        if child is None:
            child = target[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: '{parent}' is a value, not a section")
        target = child
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML: {error}") from error


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Validates a recipe's values; `where` names their file in the error."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(key, recipe_fields())
            raise ConfigError(f"recipe {where}: unknown key '{key}'{hint}") from error
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"recipe {where}: {key or 'recipe'}: {message} (got {first['input']!r})"
        ) from error
