"""The train section of a recipe: how a teacher is trained by `edgegan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from edgegan.recipe.section import Computing

Method = Literal["pix2pix", "cyclegan", "gaugan", "sngan"]
GanMode = Literal["vanilla", "lsgan", "hinge"]

WEIGHTS = {
    "l1_weight": ("pix2pix",),
    "gradient_weight": ("pix2pix",),
    "cycle_weight": ("cyclegan",),
    "identity_weight": ("cyclegan",),
    "feature_weight": ("gaugan",),
    "perceptual_weight": ("pix2pix", "gaugan"),
}
ONLY: dict[str, tuple[Method, ...]] = {
    "generator": ("pix2pix", "cyclegan"),
    "depth": ("pix2pix", "cyclegan"),
    "spectral": ("gaugan",),
    "discriminator_layers": ("pix2pix", "cyclegan", "gaugan"),
    "discriminator_scales": ("gaugan",),
    "generator_batch": ("sngan",),
    "discriminator_steps": ("sngan",),
    "pool": ("cyclegan",),
}
KINDS = {
    "pix2pix": ("paired", "labels"),
    "cyclegan": ("unpaired",),
    "gaugan": ("labels",),
    "sngan": ("noise",),
}


class Train(Computing):
    """Training of a teacher from scratch, with its discriminator."""

    method: Method | None = Field(
        None, description="pix2pix, cyclegan, gaugan or sngan; null: this recipe trains no teacher"
    )
    generator: Literal["unet", "resnet"] = Field(
        "resnet", description="generator family of pix2pix and cyclegan"
    )
    ngf: int = Field(
        64, ge=1, le=1_024, description="width of the generator: channels of its first layer"
    )
    depth: int | None = Field(
        None,
        ge=1,
        le=64,
        description="residual blocks of a resnet (null: 9) or halvings of a unet (null: 8)",
    )
    spec: dict[str, Any] = Field(
        default_factory=dict,
        description="spec fields of the generator set by hand, such as {norm: batch}",
    )
    spectral: bool = Field(
        False,
        description="spectral norm in the generator's blocks while it trains (SPADE), folded when saved",
    )
    ndf: int = Field(64, ge=1, le=1_024, description="width of the discriminator")
    discriminator_layers: int = Field(
        3, ge=1, le=6, description="strided convolutions of a PatchGAN; convolutions of gaugan's"
    )
    discriminator_scales: int = Field(
        2, ge=1, le=4, description="image sizes that gaugan's discriminator judges"
    )
    epochs: int = Field(
        100, ge=0, le=100_000, description="passes over the data at full learning rate"
    )
    decay_epochs: int = Field(
        100,
        ge=0,
        le=100_000,
        description="passes in which the learning rate falls linearly to zero",
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="generator steps in all, split as epochs and decay_epochs are; null: those of the epochs",
    )
    batch: int = Field(1, ge=1, le=1_024, description="pictures a step and process")
    generator_batch: int | None = Field(
        None, ge=1, le=1_024, description="pictures of sngan's generator step; null: as batch"
    )
    discriminator_steps: int = Field(
        1, ge=1, le=100, description="discriminator steps before each of sngan's generator steps"
    )
    learning_rate: float = Field(2e-4, gt=0, le=10, description="Adam's step size of the generator")
    discriminator_learning_rate: float | None = Field(
        None,
        gt=0,
        le=10,
        description="Adam's step size of the discriminator; null: the generator's",
    )
    warmup: int = Field(
        0, ge=0, le=10_000_000, description="steps in which the learning rates rise linearly"
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the gradient's mean")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the gradient's square")
    gan_mode: GanMode = Field(
        "lsgan", description="adversarial loss: vanilla (cross entropy), lsgan or hinge"
    )
    l1_weight: float = Field(
        0.0, ge=0, le=1_000_000, description="weight of mean |output - target| (pix2pix)"
    )
    gradient_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of the same on horizontal and vertical differences (pix2pix)",
    )
    cycle_weight: float = Field(
        0.0, ge=0, le=1_000_000, description="weight of mean |there and back - original| (cyclegan)"
    )
    identity_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of leaving a picture of the other domain alone, times cycle_weight (cyclegan)",
    )
    feature_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of matching the discriminator's features (gaugan)",
    )
    perceptual_weight: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="weight of the distance in the features of `perceptual`",
    )
    perceptual: Path | None = Field(
        None,
        description="weights of the perceptual term's network: VGG19 (SPADE's loss), VGG16 or SqueezeNet 1.1",
    )
    pool: int = Field(
        50,
        ge=0,
        le=10_000,
        description="earlier outputs that cyclegan's discriminators also judge; 0: none",
    )
    licence: str = Field(
        "unstated", description="licence of the weights, written into the teacher's package"
    )
    log_every: int = Field(
        50, ge=1, le=10_000_000, description="steps between lines of metrics.jsonl"
    )
    sample_every: int = Field(
        1000, ge=1, le=10_000_000, description="steps between sample pictures and validations"
    )
    checkpoint_seconds: float = Field(
        180.0,
        gt=0,
        le=86_400,
        description="seconds between checkpoints that a killed run resumes from",
    )

    @model_validator(mode="after")
    def check_method(self) -> Train:
        """Keys that mean nothing for the method are refused."""
        for name, methods in WEIGHTS.items():
            if getattr(self, name) > 0 and self.method is not None and self.method not in methods:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but {self.method} has no such term"
                )
        if self.perceptual_weight > 0 and self.perceptual is None:
            raise ValueError(
                "perceptual_weight is set without a network: set perceptual to the weights of VGG19, VGG16 "
                "or SqueezeNet 1.1, or perceptual_weight to 0"
            )
        if self.identity_weight > 0 and self.cycle_weight == 0:
            raise ValueError("identity_weight is a part of cycle_weight, which is 0")
        for name, methods in ONLY.items():
            default = type(self).model_fields[name].default
            if getattr(self, name) != default and self.method not in (None, *methods):
                raise ValueError(f"{name} is for {' and '.join(methods)}, not for {self.method}")
        if self.epochs + self.decay_epochs == 0:
            raise ValueError("epochs and decay_epochs are both 0: nothing to train")
        return self

    def check_kind(self, kind: str) -> None:
        """Raises ValueError when the method cannot learn from this kind of data."""
        if self.method is not None and kind not in KINDS[self.method]:
            raise ValueError(
                f"train.method {self.method} needs data.kind {' or '.join(KINDS[self.method])}, not {kind}"
            )
