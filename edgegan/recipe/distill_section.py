"""The distill section of a recipe: how a student learns from its teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgegan.recipe.section import Computing


class Distill(Computing):
    """Training of the student on cached teacher outputs."""

    steps: int = Field(6000, ge=1, le=10_000_000, description="optimiser steps")
    batch: int = Field(1, ge=1, le=1_024, description="crops a step")
    learning_rate: float = Field(
        2e-3, gt=0, le=10, description="Adam's step size after warm-up; falls linearly to zero"
    )
    warmup: int = Field(
        100, ge=0, le=10_000_000, description="steps in which the learning rate rises linearly"
    )
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
    l1_weight: float = Field(
        1.0, ge=0, le=1_000_000, description="weight of mean |student - target|"
    )
    gradient_weight: float = Field(
        1.0,
        ge=0,
        le=1_000_000,
        description="weight of the same on horizontal and vertical differences",
    )
    feature_weight: float = Field(
        0.05,
        ge=0,
        le=1_000_000,
        description="weight of intermediate features through 1x1 maps at the taps",
    )
    tap_pool: int = Field(
        2,
        ge=1,
        le=64,
        description="features are averaged over squares of this side before they are cached",
    )
    relation_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of relations between places: kernel alignment of the taps' features, without maps",
    )
    perceptual_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of the distance in the features of `perceptual`",
    )
    perceptual: str = Field(
        "teacher",
        description="network of the perceptual term: teacher (its own encoder), discriminator (the inherited one), "
        "vgg16:FILE or squeezenet:FILE",
    )
    gan_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of the adversarial term with the teacher's inherited discriminator; 0: none",
    )
    gan_mode: Literal["lsgan", "hinge"] = Field(
        "lsgan",
        description="adversarial loss: lsgan (CycleGAN) or hinge (pix2pix of GAN Compression, SPADE)",
    )
    discriminator_learning_rate: float = Field(
        2e-4, gt=0, le=10, description="Adam's step size of the discriminator"
    )
    terms: dict[str, Annotated[float, Field(ge=0, le=1_000_000)]] = Field(
        default_factory=dict,
        description="weights of further terms by name, such as those that you add (docs/extending.md)",
    )
    freeze_statistics: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, at the end, in which BatchNorm uses the statistics it will be exported with",
    )
    log_every: int = Field(
        50, ge=1, le=10_000_000, description="steps between entries of metrics.jsonl"
    )
    validate_every: int = Field(500, ge=1, le=10_000_000, description="steps between validations")
    checkpoint_seconds: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="seconds between checkpoints that a killed run resumes from",
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
