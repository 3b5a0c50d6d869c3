"""The supernet and search sections of a recipe: GAN Compression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edgegan.contracts.quantities import Width
from edgegan.recipe.section import Section

NETWORK_FITNESS = ("fid", "kid", "miou")
LOWER_IS_BETTER = ("fid", "kid")
WRITTEN = {
    "fid": "Frechet",
    "kid": "KID",
    "miou": "mIoU",
}  # an FID is one network's Frechet distance


def metric_value(metric: str, fitness: float) -> float:
    """A fitness, of which higher is better, as its metric is written."""
    return -fitness if metric in LOWER_IS_BETTER else fitness


def metric_name(metric: str) -> str:
    """What a search goes by, as people read it."""
    return WRITTEN.get(metric, metric)


class Supernet(Section):
    """The once-for-all generator: every sub-generator in one, sharing leading channels."""

    pretrain_steps: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="steps in which the widest network alone is distilled before weights are shared (the original "
        "pipeline's pre-distillation); 0: shared from the first step (the fast pipeline)",
    )
    sort: Literal["none", "l1", "norm", "taylor"] = Field(
        "l1",
        description="after pre-distillation channels are put in order of importance: l1 of the weights that read them, "
        "norm scales, or taylor on the distillation loss",
    )
    steps: int = Field(6000, ge=1, le=10_000_000, description="optimiser steps of weight sharing")
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
    round_to: int = Field(
        8, ge=1, le=1_024, description="widths are multiples of this many channels"
    )

    tied: Literal["none", "published"] = Field(
        "none",
        description="widths that are one choice: none (every layer its own), or published (those of a number of GAN "
        "Compression's width configs: a ResNet's nine blocks in threes), whose multiples round_to then means",
    )
    choices: tuple[Annotated[tuple[Width, ...], Field(min_length=1, max_length=100)], ...] = Field(
        (),
        max_length=64,
        description="tied published: the choices of every number of a config, such as a row [32, 24, 16] for each of "
        "eight; empty: by smallest and round_to",
    )

    @model_validator(mode="after")
    def choices_are_of_configs(self) -> Supernet:
        """Only numbers of a published config have choices set by hand."""
        if self.choices and self.tied == "none":
            raise ValueError("choices needs tied published")
        return self

    @model_validator(mode="after")
    def enough_networks(self) -> Supernet:
        """A sandwich has two slices of bread."""
        if self.sampling == "sandwich" and self.networks < 2:
            raise ValueError("sampling sandwich needs networks of at least 2; or set uniform")
        return self


class Search(Section):
    """The search for the best sub-generator under the budget."""

    fitness: Literal["psnr", "ssim", "feature", "fid", "kid", "miou"] = Field(
        "psnr",
        description="on the search images: to the teacher psnr, ssim, or feature (minus the feature loss at the taps); "
        "by search.network fid (Frechet distance), kid, or miou",
    )
    network: Path | None = Field(
        None,
        description="fid, kid: Inception weights, or a TorchScript or ONNX network of features; miou: a segmentation "
        "network (TorchScript, ONNX, weights of a DRN-D such as drn-d-105_ms_cityscapes.pth, or a package)",
    )
    reference: Path | None = Field(
        None,
        description="fid, kid: folder of pictures to compare with, for fid also a .npz of their mu and sigma; "
        "null: the true pictures of the search images, else the target domain's that the discriminator sees, "
        "else the teacher's",
    )
    widths: str = Field(
        "",
        max_length=200,
        description="a published width config, in quotes, such as '32_32_48_32_48_48_16_16', taken without a search "
        "(--widths); no budget is needed then",
    )
    images: int = Field(
        24,
        ge=2,
        le=10_000,
        description="training images held out for the search; never the validation images",
    )
    exhaustive: int = Field(
        300,
        ge=1,
        le=100_000,
        description="a space of at most this many sub-networks is evaluated whole",
    )
    population: int = Field(32, ge=4, le=10_000, description="sub-networks of a generation")
    generations: int = Field(8, ge=1, le=10_000, description="generations after the first")
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
        le=100,
        description="sub-networks trained alone to measure the rank correlation of the search; 0: none",
    )
    check_steps: int = Field(
        1000,
        ge=1,
        le=10_000_000,
        description="steps each of them is trained; after too few, their order is chance",
    )
    finetune_steps: int = Field(
        2000,
        ge=0,
        le=10_000_000,
        description="steps in which the chosen sub-network is distilled further; 0: it keeps the supernet's weights",
    )

    @model_validator(mode="after")
    def networks_are_used(self) -> Search:
        """A network judges only where the search goes by one, a reference is only for distances."""
        for name, used in (("network", NETWORK_FITNESS), ("reference", LOWER_IS_BETTER)):
            if getattr(self, name) is not None and self.fitness not in used:
                raise ValueError(
                    f"{name} means nothing for fitness {self.fitness}: set {', '.join(used)}"
                )
        return self

    @field_validator("widths", mode="before")
    @classmethod
    def widths_are_quoted(cls, value: object) -> object:
        """YAML reads digits joined by underscores as one number."""
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(
                'YAML reads this as one number: write it in quotes, "32_32_48_32_48_48_16_16"'
            )
        return value
