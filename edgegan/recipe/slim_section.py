"""The slim section of a recipe: GAN Slimming."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edgegan.recipe.section import Section


class Slim(Section):
    """GAN Slimming: pruning and quantization inside the distillation, whose steps and weights are those of distill."""

    form: Literal["budget", "paper"] = Field(
        "budget",
        description="budget: prune to a budget, then train on in int8; paper: the published minimax objective",
    )
    start: float = Field(
        2.0,
        ge=0,
        le=1_000,
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
    prune_times: int = Field(
        10,
        ge=0,
        le=10_000,
        description="how often channels are taken away between them; 0: none goes, and no budget is needed",
    )
    quantize_from: float = Field(
        0.6, ge=0, le=1, description="part of the steps after which int8 is simulated (form budget)"
    )
    round_to: int = Field(
        8, ge=1, le=1_024, description="widths are multiples of this many channels"
    )
    remove_blocks: bool = Field(
        True,
        description="residual blocks may go entirely (families with spec field inner; not for budgets of ms or "
        "instructions)",
    )
    beta: float = Field(
        20.0, ge=0, le=1_000_000, description="paper: weight of the distillation terms"
    )
    rho: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="L1 of norm scales and gates, by soft threshold after each step",
    )
    gan_weight: float = Field(
        1.0, ge=0, le=1_000_000, description="paper: weight of the adversarial term"
    )
    scale_learning_rate: float = Field(
        0.1,
        gt=0,
        le=10,
        description="paper: SGD's step size of norm scales and gates (cosine to zero)",
    )
    scale_momentum: float = Field(0.5, ge=0, lt=1, description="paper: SGD's momentum of them")
    weight_decay: float = Field(0.0, ge=0, le=10, description="paper: Adam's weight decay")
    finetune_steps: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="distillation steps after extraction; published: as many as distill.steps",
    )
    finetune_rate: float = Field(
        0.1,
        gt=0,
        le=1_000,
        description="learning rates of fine-tuning, as a multiple of distill's; published: 10",
    )
    finetune_discriminator: bool = Field(
        False,
        description="the discriminator trains on in fine-tuning, by the objective of the training before, as published",
    )

    @model_validator(mode="after")
    def in_order(self) -> Slim:
        """The phases of the budget form follow one another."""
        if self.prune_from >= self.prune_until:
            raise ValueError("prune_from must be below prune_until")
        late = self.form == "paper" or self.quantize == "none" or self.prune_times == 0
        if not late and self.quantize_from < self.prune_until:
            raise ValueError("quantize_from must not be below prune_until")
        return self
