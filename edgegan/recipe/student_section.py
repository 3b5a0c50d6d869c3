"""The student section of a recipe: the shape of the network that is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgegan.recipe.section import Section

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
    round_to: int = Field(
        8, ge=1, le=1_024, description="widths are multiples of this many channels"
    )
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
    start: str = Field(
        "random",
        min_length=1,
        description="first weights: random; teacher (its channels of largest summed absolute weight, as in GAN "
        "Compression's pre-distillation; student.block and student.norm as the teacher's); or the folder of a run or "
        "package: that student, whose form is kept, learns on (methods distill and gan-slimming)",
    )

    @property
    def earlier(self) -> Path | None:
        """The folder of the student that learns on, or None."""
        return None if self.start in ("random", "teacher") else Path(self.start)
