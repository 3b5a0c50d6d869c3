"""Contract 3: one JSON record for each artefact on each device. `kind` says what the numbers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan.errors import InputError, first_problem
from edgegan.files import read_json

SCHEMA_VERSION: Final = 1


class BenchRecord(BaseModel):
    """Latency of one artefact in one runtime."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["measured"] = Field(
        "measured", description="what the numbers are: timed on a real device"
    )
    device: str
    artefact: str
    sha256: str
    role: Literal["teacher", "student"]
    target: str
    precision: str
    runtime: str
    runtime_version: str
    threads: int
    size: tuple[int, int]
    batch: int = Field(1, description="images an inference")
    parameters: int
    macs: int = Field(description="true MACs")
    macs_published: int = Field(
        description="transposed convolutions at output size, plus InstanceNorm elements"
    )
    macs_fvcore: int = Field(description="fvcore's count of convolution and linear operators")
    size_bytes: int
    latency: dict[str, float]
    samples_ms: list[float]
    verdict: str
    drift: float
    load_ms: float
    first_inference_ms: float
    peak_rss_bytes: int | None
    environment: dict[str, Any]
    load_average: list[float]
    started: str
    command: str
    order: str = Field(description="how runs of different artefacts were mixed")


def read_records(folder: Path) -> list[BenchRecord]:
    """Every record of a bench folder; raises InputError naming a bad one."""
    records = []
    for path in sorted(folder.glob("*__*.json")):
        try:
            records.append(BenchRecord.model_validate(read_json(path)))
        except ValidationError as error:
            raise InputError(
                f"{path}: {first_problem(error)}; measure it again with: edgegan bench"
            ) from error
    return records
