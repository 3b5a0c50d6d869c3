"""What every section of a recipe is, and what every training section has."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true and false where a number stands: pydantic would take them for 1 and 0."""
        wanted = str(cls.model_fields[str(info.field_name)].annotation)
        parts = value if isinstance(value, list | tuple) else [value]
        if "bool" not in wanted and any(isinstance(part, bool) for part in parts):
            raise ValueError("true and false are no numbers")
        return value


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
