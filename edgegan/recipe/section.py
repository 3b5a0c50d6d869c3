"""What every section of a recipe is, and what every training section has."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Computing(Section):
    """How fast a training computes."""

    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32",
        description="of forward and backward passes; weights stay float32. auto: bf16 where the processor has it",
    )
    compile: bool = Field(
        False,
        description="steps compiled by torch.compile where the network keeps its shape; needs a C++ compiler on a CPU",
    )
