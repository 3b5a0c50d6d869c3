"""What run.json may hold: every stage with its files, figures of known kinds, the machine it was made on."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgegan.contracts.quantities import Finite, Name, Number, Sha256, Text

Scalar = bool | int | Finite | Text | None
MOST_STAGES = 1000
MOST_FILES = 100_000


class Machine(BaseModel):
    """What `run.environment` tells."""

    model_config = ConfigDict(extra="allow")

    processor: Text
    cores: Number | None
    system: Text
    python: Name
    edgegan: Name
    versions: dict[Name, Name]


class Figures(BaseModel):
    """Figures of a stage; those that reports calculate with are numbers."""

    model_config = ConfigDict(extra="allow")

    psnr_to_teacher_db: Finite | None = None
    ssim_to_teacher: Finite | None = None
    identity_psnr_db: Finite | None = None
    validation_images: Number | None = None
    spearman: Finite | None = None
    why: Text = ""


class Ledger(BaseModel):
    """One finished stage."""

    model_config = ConfigDict(extra="allow")

    inputs: Name
    outputs: dict[Text, Sha256] = Field(max_length=MOST_FILES)
    finished: Name = ""
    duration_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    figures: Figures

    @field_validator("outputs")
    @classmethod
    def stay_inside(cls, outputs: dict[str, str]) -> dict[str, str]:
        """Raises ValueError for a path that leads out of the run."""
        for path in outputs:
            if path.startswith("/") or ".." in PurePosixPath(path).parts:
                raise ValueError(f"'{path}' lies outside the run")
        return outputs


class RunManifest(BaseModel):
    """run.json."""

    model_config = ConfigDict(extra="allow")

    recipe: dict[Name, Any]
    command: Text
    created: Name = ""
    environment: Machine
    stages: dict[Name, Ledger] = Field(max_length=MOST_STAGES)
