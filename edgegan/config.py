"""The recipe: one YAML file is one run. Unknown keys are errors that name the nearest valid one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgegan.errors import ConfigError, nearest

Norm = Literal["instance", "instance_affine", "batch"]
Block = Literal["dense", "separable"]
Method = Literal["distill", "gan-compression", "gan-slimming"]


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which images, and how crops are taken from them."""

    train: Path | None = Field(None, description="folder of training images, searched recursively")
    validation: Path | None = Field(
        None, description="folder of validation images; null: a seeded tenth of train"
    )
    size: tuple[int, int] = Field((256, 256), description="height and width of crops, pixels")
    resize: int | None = Field(
        None,
        ge=16,
        description="scale the shorter side to this many pixels before cropping; null: only when too small",
    )
    crops: int = Field(400, ge=1, description="training crops whose teacher outputs are cached")
    flip: bool = Field(True, description="mirror crops left to right at random during training")
    validation_images: int = Field(
        100, ge=1, description="validation images used at most (centre crops)"
    )


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
        description="instance, instance_affine (dynamic int8) or batch (static full int8)",
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


class Slim(Section):
    """GAN Slimming: pruning and quantization inside the distillation, whose steps and weights are those of distill."""

    form: Literal["budget", "paper"] = Field(
        "budget",
        description="budget: prune to a budget, then train on in int8; paper: the published minimax objective",
    )
    budget_macs: float | None = Field(None, gt=0, description="true MACs of one image")
    budget_bytes: float | None = Field(None, gt=0, description="bytes of the int8 .tflite file")
    budget_ms: float | None = Field(None, gt=0, description="predicted milliseconds of one image")
    budget_instructions: float | None = Field(
        None, gt=0, description="predicted arm64 instructions of one image"
    )
    start: float = Field(
        2.0,
        ge=0,
        description="the start network costs this many budgets (its scale is found); 0: student.scale",
    )
    initial: Literal["random", "teacher"] = Field(
        "random",
        description="weights of the start network; teacher: its most important channels (same block and norm)",
    )
    importance: Literal["taylor", "norm"] = Field(
        "taylor",
        description="what decides which channels go: change of the loss, or size of norm scales and gates",
    )
    quantize: Literal["none", "int8"] = Field(
        "int8", description="int8: weights and activations pass through quantizers in training"
    )
    prune_from: float = Field(0.05, ge=0, lt=1, description="part of the steps before pruning")
    prune_until: float = Field(
        0.4, gt=0, le=1, description="part of the steps after which no channel goes any more"
    )
    prune_times: int = Field(10, ge=1, description="how often channels are taken away between them")
    quantize_from: float = Field(
        0.6, ge=0, le=1, description="part of the steps after which int8 is simulated (form budget)"
    )
    round_to: int = Field(8, ge=1, description="widths are multiples of this many channels")
    remove_blocks: bool = Field(
        True, description="residual blocks may go entirely (families with spec field inner)"
    )
    beta: float = Field(20.0, ge=0, description="paper: weight of the distillation terms")
    rho: float = Field(
        0.0, ge=0, description="L1 of norm scales and gates, by soft threshold after each step"
    )
    gan_weight: float = Field(1.0, ge=0, description="paper: weight of the adversarial term")
    scale_learning_rate: float = Field(
        0.1, gt=0, description="paper: SGD's step size of norm scales and gates (cosine to zero)"
    )
    scale_momentum: float = Field(0.5, ge=0, lt=1, description="paper: SGD's momentum of them")
    weight_decay: float = Field(0.0, ge=0, description="paper: Adam's weight decay")
    finetune_steps: int = Field(
        0, ge=0, description="distillation steps after extraction, at a tenth of the learning rate"
    )

    @property
    def budget(self) -> tuple[str, float] | None:
        """The one budget that is set, with its kind."""
        kinds = ("macs", "bytes", "ms", "instructions")
        values = [(kind, getattr(self, f"budget_{kind}")) for kind in kinds]
        return next(((kind, value) for kind, value in values if value is not None), None)

    @model_validator(mode="after")
    def in_order(self) -> Slim:
        """Pruning ends before int8 begins; one budget at most, and the budget form's phases in order."""
        names = ("budget_macs", "budget_bytes", "budget_ms", "budget_instructions")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set: give one budget")
        if self.prune_from >= self.prune_until:
            raise ValueError("prune_from must be below prune_until")
        late = self.form == "paper" or self.quantize == "none"
        if not late and self.quantize_from < self.prune_until:
            raise ValueError("quantize_from must not be below prune_until")
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
    method: Method = Field("distill", description="how the student is found and trained")
    slim: Slim = Slim()
    seed: int = Field(0, ge=0, description="seed of crops, weights and order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto: CUDA when there is one"
    )

    @model_validator(mode="after")
    def slimming_has_an_aim(self) -> Recipe:
        """GAN Slimming to a budget needs the budget."""
        if self.method == "gan-slimming" and self.slim.form == "budget" and not self.slim.budget:
            raise ValueError(
                "method gan-slimming needs a budget: --budget-bytes, --budget-macs, --budget-ms or "
                "--budget-instructions"
            )
        return self


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
