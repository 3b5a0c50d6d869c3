"""The recipe: one YAML file is one run. Unknown keys are errors that name the nearest valid one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from edgegan.errors import ConfigError, nearest
from edgegan.recipe.data_section import Computing
from edgegan.recipe.data_section import Data as Data
from edgegan.recipe.data_section import Section as Section
from edgegan.recipe.kinds import COSTS, Method, flags
from edgegan.recipe.slim_section import Slim as Slim
from edgegan.recipe.train_section import Train

Norm = Literal["instance", "instance_affine", "batch", "batch-global"]
Block = Literal["dense", "separable"]


class Student(Section):
    """The student's shape: the teacher's family, narrower, with this residual block and norm."""

    scale: float = Field(
        0.375,
        gt=0,
        le=1,
        description="every width of the teacher times this; method distill finds it where a budget is set",
    )
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


class Distill(Computing):
    """Training of the student on cached teacher outputs."""

    steps: int = Field(6000, ge=1, description="optimiser steps")
    batch: int = Field(1, ge=1, description="crops a step")
    learning_rate: float = Field(
        2e-3, gt=0, description="Adam's step size after warm-up; falls linearly to zero"
    )
    warmup: int = Field(100, ge=0, description="steps in which the learning rate rises linearly")
    teacher: Literal["cached", "loop"] = Field(
        "cached",
        description="cached: run once over data.crops crops; loop: run in every step, on fresh crops (data.crops "
        "then only calibrate)",
    )
    reconstruction: Literal["auto", "teacher", "truth"] = Field(
        "auto",
        description="what the student's output is compared with; auto: the true picture when data are paired, else "
        "the teacher's output (GAN Compression, equation 2)",
    )
    l1_weight: float = Field(1.0, ge=0, description="weight of mean |student - target|")
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
    relation_weight: float = Field(
        0.0,
        ge=0,
        description="weight of relations between places: kernel alignment of the taps' features, without maps",
    )
    perceptual_weight: float = Field(
        0.0, ge=0, description="weight of the distance in the features of `perceptual`"
    )
    perceptual: str = Field(
        "teacher",
        description="network of the perceptual term: teacher (its own encoder), discriminator (the inherited one), "
        "vgg16:FILE or squeezenet:FILE",
    )
    gan_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the adversarial term with the teacher's inherited discriminator; 0: none",
    )
    gan_mode: Literal["lsgan", "hinge"] = Field(
        "lsgan",
        description="adversarial loss: lsgan (CycleGAN) or hinge (pix2pix of GAN Compression, SPADE)",
    )
    discriminator_learning_rate: float = Field(
        2e-4, gt=0, description="Adam's step size of the discriminator"
    )
    terms: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="weights of further terms by name, such as those that you add (docs/extending.md)",
    )
    freeze_statistics: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, at the end, in which BatchNorm uses the statistics it will be exported with",
    )
    log_every: int = Field(50, ge=1, description="steps between entries of metrics.jsonl")
    validate_every: int = Field(500, ge=1, description="steps between validations")
    checkpoint_seconds: float = Field(
        60.0, gt=0, description="seconds between checkpoints that a killed run resumes from"
    )

    @model_validator(mode="after")
    def some_loss(self) -> Distill:
        """A run without any reconstruction term trains nothing."""
        weights = (
            self.l1_weight,
            self.gradient_weight,
            self.feature_weight,
            self.perceptual_weight,
            *self.terms.values(),
        )
        if not any(weights):
            raise ValueError(
                "l1_weight, gradient_weight, feature_weight and perceptual_weight are all 0: nothing to distil"
            )
        return self


class Supernet(Section):
    """The once-for-all generator: every sub-generator in one, sharing leading channels."""

    pretrain_steps: int = Field(
        0,
        ge=0,
        description="steps in which the widest network alone is distilled before weights are shared (the original "
        "pipeline's pre-distillation); 0: shared from the first step (the fast pipeline)",
    )
    sort: Literal["none", "l1", "norm", "taylor"] = Field(
        "l1",
        description="after pre-distillation channels are put in order of importance: l1 of the weights that read them, "
        "norm scales, or taylor on the distillation loss",
    )
    steps: int = Field(6000, ge=1, description="optimiser steps of weight sharing")
    sampling: Literal["sandwich", "uniform"] = Field(
        "sandwich",
        description="sub-networks of a step: sandwich (widest, narrowest, the rest random) or uniform (all random)",
    )
    networks: int = Field(
        3, ge=1, le=8, description="sub-networks a step; the paper's is 1 with sampling uniform"
    )
    smallest: float = Field(
        0.25, gt=0, lt=1, description="narrowest choice, as a part of the widest"
    )
    round_to: int = Field(8, ge=1, description="widths are multiples of this many channels")

    @model_validator(mode="after")
    def enough_networks(self) -> Supernet:
        """A sandwich has two slices of bread."""
        if self.sampling == "sandwich" and self.networks < 2:
            raise ValueError("sampling sandwich needs networks of at least 2; or set uniform")
        return self


class Limits(Section):
    """What one image may cost, whatever the method; every budget that is set holds (gan-slimming takes one)."""

    def limits(self) -> dict[str, float]:
        """The budgets that are set, by cost."""
        return {kind: value for kind in COSTS if (value := getattr(self, kind)) is not None}

    def place(self, kind: str) -> str:
        """Where a cost is measured; empty for one that is counted."""
        place = COSTS[kind].place
        return "" if place is None else str(getattr(self, place.field))

    @property
    def aim(self) -> tuple[str, float] | None:
        """The first budget that is set, with its kind."""
        return next(iter(self.limits().items()), None)


def budget_fields() -> dict[str, Any]:
    """A field for every cost, and for the place of each that is measured."""
    fields: dict[str, Any] = {}
    for kind, cost in COSTS.items():
        fields[kind] = (float | None, Field(None, gt=0, description=cost.description))
        if cost.place is not None:
            told = Field(cost.place.default, description=cost.place.description)
            fields[cost.place.field] = (str, told)
    return fields


if TYPE_CHECKING:
    Budget = Limits
else:
    Budget = create_model("Budget", __base__=Limits, __doc__=Limits.__doc__, **budget_fields())


class Search(Section):
    """The search for the best sub-generator under the budget."""

    fitness: Literal["psnr", "ssim", "feature"] = Field(
        "psnr",
        description="to the teacher on the search images: psnr, ssim, or feature (minus the feature loss at the taps)",
    )
    images: int = Field(
        24, ge=2, description="training images held out for the search; never the validation images"
    )
    exhaustive: int = Field(
        300, ge=1, description="a space of at most this many sub-networks is evaluated whole"
    )
    population: int = Field(32, ge=4, description="sub-networks of a generation")
    generations: int = Field(8, ge=1, description="generations after the first")
    parents: float = Field(0.25, gt=0, le=1, description="part of a generation that has children")
    mutated: float = Field(
        0.5, ge=0, le=1, description="part of the children made by mutation; the rest by crossover"
    )
    mutation: float = Field(
        0.3, gt=0, le=1, description="probability of each width to change in a mutation"
    )
    check_networks: int = Field(
        4,
        ge=0,
        description="sub-networks trained alone to measure the rank correlation of the search; 0: none",
    )
    check_steps: int = Field(
        1000,
        ge=1,
        description="steps each of them is trained; after too few, their order is chance",
    )
    finetune_steps: int = Field(
        2000,
        ge=0,
        description="steps in which the chosen sub-network is distilled further; 0: it keeps the supernet's weights",
    )


class Recipe(Section):
    """One run: of `edgegan train` for the train section, of `edgegan compress` for student and distill."""

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
    train: Train = Train()
    student: Student = Student()
    distill: Distill = Distill()
    method: Method = Field(
        "distill",
        description="distill (the student is its teacher, narrower), gan-compression (it is searched in a supernet) or "
        "gan-slimming (it is pruned and quantised while it is distilled)",
    )
    supernet: Supernet = Supernet()
    search: Search = Search()
    slim: Slim = Slim()
    budget: Budget = Budget()
    seed: int = Field(0, ge=0, description="seed of crops, weights and order")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto: CUDA when there is one"
    )

    @model_validator(mode="after")
    def check_kind(self) -> Recipe:
        """The data are of a kind that the teacher's training can use."""
        self.train.check_kind(self.data.kind)
        return self

    @model_validator(mode="after")
    def budgets_suit_the_method(self) -> Recipe:
        """A search needs a budget; GAN Slimming goes to one, and only its published form may have none."""
        limits, method = self.budget.limits(), self.method
        if method == "gan-slimming" and len(limits) > 1:
            raise ValueError(f"method {method} takes one budget: set {' or '.join(limits)}")
        published = method == "gan-slimming" and self.slim.form == "paper"
        if method != "distill" and not limits and not published:
            raise ValueError(f"method {method} needs a budget: {flags()}")
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
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
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
