"""Contract 3: one JSON record for each artefact on each device. `kind` says what the numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan.artefact import ModelManifest
from edgegan.errors import InputError, first_problem
from edgegan.files import read_json

SCHEMA_VERSION: Final = 2
NOT_MEASURED = "not measured"


class Correctness(BaseModel):
    """An artefact's output on the device against a reference, checked before anything is timed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str = Field(description="what it was compared with")
    max_abs: float = Field(description="largest absolute difference, range [-1, 1]")
    bit_equal: bool
    sha256: str = Field(description="of the output's bytes")


class RecordBase(BaseModel):
    """What every record states, whatever its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1, 2] = SCHEMA_VERSION
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
    environment: dict[str, Any]
    started: str
    command: str
    correctness: Correctness | None = None
    outside_xnnpack: list[str] | None = Field(
        None, description="operators no XNNPACK delegate took; null: not told"
    )
    device_state: dict[str, Any] = Field({}, description="the device before the measurement")


class BenchRecord(RecordBase):
    """Latency of one artefact in one runtime, timed on a real device."""

    kind: Literal["measured"] = "measured"
    latency: dict[str, float]
    samples_ms: list[float]
    samples_are: str = Field("inferences", description="inferences, or means of blocks of them")
    verdict: str
    reasons: list[str] = Field([], description="why the verdict is UNSTABLE")
    drift: float
    load_ms: float
    first_inference_ms: float
    peak_rss_bytes: int | None
    load_average: list[float]
    order: str = Field(description="how runs of different artefacts were mixed")
    cpus: list[int] | None = Field(None, description="cores it was bound to; null: all")
    states: list[dict[str, Any]] = Field(
        [], description="frequency, temperature and throttling before each round and after the last"
    )
    warnings: list[str] = []
    peak_gmacs_per_s: float | None = Field(
        None, description="fastest convolution measured in the same run, same precision and threads"
    )
    energy_mj: float | str = Field(NOT_MEASURED, description="an inference, by a real sensor only")
    profile: list[tuple[str, float]] | None = Field(None, description="milliseconds by operator")
    profile_note: str = ""

    def gmacs_per_s(self) -> float:
        """Achieved true GMACs a second at the median."""
        return self.macs / self.latency["median_ms"] / 1e6

    def peak_share(self) -> float | None:
        """Achieved share of the measured convolution peak."""
        return self.gmacs_per_s() / self.peak_gmacs_per_s if self.peak_gmacs_per_s else None


class CountRecord(RecordBase):
    """Instructions of one inference on an emulated core. No time: an emulator's time is not a device's."""

    kind: Literal["emulated-instructions"] = "emulated-instructions"
    core: str
    instructions: int
    first_instructions: int = Field(description="of the inference before the reported one")
    shares: dict[str, float] = Field(description="share of all instructions by kind")


class PredictedRecord(RecordBase):
    """A cost that a predictor gave."""

    kind: Literal["predicted"] = "predicted"
    unit: Literal["ms", "instructions"]
    predicted: float
    predictor: str
    validation_error: float = Field(description="median relative error on nets it had not seen")


AnyRecord = BenchRecord | CountRecord | PredictedRecord
KINDS: dict[str, type[BenchRecord] | type[CountRecord] | type[PredictedRecord]] = {
    "measured": BenchRecord,
    "emulated-instructions": CountRecord,
    "predicted": PredictedRecord,
}
Record = TypeVar("Record", BenchRecord, CountRecord, PredictedRecord)


def parse_record(path: Path) -> AnyRecord:
    """A record of any kind and schema version; raises InputError naming a bad one."""
    values = read_json(path)
    kind = values.get("kind", "measured") if isinstance(values, dict) else None
    if kind not in KINDS:
        raise InputError(
            f"{path}: kind is {kind!r}, not one of {', '.join(KINDS)}; measure it again with: edgegan bench"
        )
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise InputError(
            f"{path}: {first_problem(error)}; measure it again with: edgegan bench"
        ) from error


def read_all(folder: Path) -> list[AnyRecord]:
    """Every record of a bench folder, of every kind."""
    return [parse_record(path) for path in sorted(folder.glob("*__*.json"))]


def read_records(folder: Path) -> list[BenchRecord]:
    """Every measured record of a bench folder; raises InputError naming a bad one."""
    return [record for record in read_all(folder) if isinstance(record, BenchRecord)]


def of_one_device(records: Sequence[BenchRecord]) -> list[BenchRecord]:
    """The records of one device, this machine before others, at the fewest threads: what may share a table."""
    if not records:
        return []
    names = sorted({r.device for r in records}, key=lambda name: (name != "host", name))
    mine = [r for r in records if r.device == names[0]]
    fewest = min(r.threads for r in mine)
    return [r for r in mine if r.threads == fewest]


def subject(model: ModelManifest) -> dict[str, Any]:
    """The fields of a record that the artefact's manifest gives."""
    return {
        "artefact": model.file,
        "sha256": model.sha256,
        "role": model.role,
        "target": model.target,
        "precision": model.precision,
        "size": model.size,
        "parameters": model.parameters,
        "macs": model.macs,
        "macs_published": model.complexity["macs_published"],
        "macs_fvcore": model.complexity["macs_fvcore"],
        "size_bytes": model.bytes,
    }
