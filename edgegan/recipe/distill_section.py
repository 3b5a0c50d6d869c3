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
        2e-3,
        gt=0,
        le=10,
        description="Adam's step size after warm-up; falls linearly to zero behind constant_share",
    )
    warmup: int = Field(
        100, ge=0, le=10_000_000, description="steps in which the learning rate rises linearly"
    )
    constant_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps at the full learning rate before it falls linearly to zero; GAN Compression's "
        "is that of nepochs in nepochs + nepochs_decay",
    )
    beta1: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="the student's Adam: decay of the gradient's mean; null: 0.9, but 0.5 where slim.form paper prunes",
    )
    beta2: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="the student's Adam: decay of the gradient's square; null: 0.99, but 0.999 where slim.form paper "
        "prunes",
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
    feature_error: Literal["relative", "raw"] = Field(
        "relative",
        description="mean square error of features at each tap: relative to the teacher's mean square there, or raw "
        "(as published, with tap_pool 1)",
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
        "vgg16:FILE, squeezenet:FILE, vgg19:FILE (SPADE's loss), vgg16-style:FILE (GAN Slimming's: features and Gram "
        "matrices) or squeezenet-style:FILE (its stand-in)",
    )
    discriminator_feature_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of the mean absolute difference of the discriminator's features from those of the true "
        "picture (SPADE; GAN Compression's GauGAN: 10); needs gan_weight",
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
    discriminator: Literal["inherited", "fresh"] = Field(
        "inherited",
        description="inherited: the teacher's own (GAN Compression); fresh: that of the train section with random "
        "weights (its fast pipeline, GD)",
    )
    discriminator_learning_rate: float = Field(
        2e-4, gt=0, le=10, description="Adam's step size of the discriminator"
    )
    discriminator_beta1: float = Field(
        0.5, ge=0, lt=1, description="Adam's decay of the gradient's mean, of the discriminator"
    )
    discriminator_beta2: float = Field(
        0.999, ge=0, lt=1, description="Adam's decay of the gradient's square, of the discriminator"
    )
    discriminator_weight_decay: float = Field(
        0.0, ge=0, le=10, description="Adam's weight decay of the discriminator"
    )
    discriminator_decay: bool = Field(
        False,
        description="true: the discriminator's learning rate rises and falls as the student's; false: it stays (but "
        "for slim.form paper, where all rates fall until fine-tuning)",
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
        """A run without any reconstruction term trains nothing; features of a discriminator need one in training."""
        if self.discriminator_feature_weight > 0 and self.gan_weight == 0:
            raise ValueError("discriminator_feature_weight needs gan_weight above 0")
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
