"""Contract 3: one JSON record for each artefact on each device. `kind` says what the numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edgegan.artefact import ModelManifest, Precision
from edgegan.contracts.quantities import Count, Finite, Name, Number, Share, Size, Text
from edgegan.errors import InputError, first_problem
from edgegan.files import read_json

SCHEMA_VERSION: Final = 2
Duration = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e9)]
Threads = Annotated[int, Field(strict=True, ge=0, le=10_000)]
NOT_MEASURED = "not measured"


class Correctness(BaseModel):
    """An artefact's output on the device against a reference, checked before anything is timed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Text = Field(description="what it was compared with")
    max_abs: Finite = Field(description="largest absolute difference, range [-1, 1]")
    bit_equal: bool
    sha256: Name = Field(description="of the output's bytes")


class RecordBase(BaseModel):
    """What every record states, whatever its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    device: Name
    artefact: Name
    sha256: Name
    role: Literal["teacher", "student"]
    target: Name
    precision: Precision
    runtime: Name
    runtime_version: Name
    threads: Threads
    size: Size
    batch: Count = Field(1, description="images an inference")
    parameters: Number
    macs: Count = Field(description="true MACs")
    macs_published: Number = Field(
        description="transposed convolutions at output size, plus InstanceNorm elements"
    )
    macs_fvcore: Number | None = Field(
        description="fvcore's count of convolution and linear operators; null: it cannot count them"
    )
    size_bytes: Count
    environment: dict[Name, Any]
    started: Name
    command: Text
    correctness: Correctness | None = None
    outside_xnnpack: list[Name] | None = Field(
        None, max_length=100_000, description="operators no XNNPACK delegate took; null: not told"
    )
    device_state: dict[Name, Any] = Field({}, description="the device before the measurement")


class BenchRecord(RecordBase):
    """Latency of one artefact in one runtime, timed on a real device."""

    kind: Literal["measured"] = "measured"
    latency: dict[Name, Duration]
    samples_ms: list[Duration] = Field(max_length=10_000_000)
    samples_are: Text = Field("inferences", description="inferences, or means of blocks of them")
    verdict: Name
    reasons: list[Text] = Field([], max_length=1000, description="why the verdict is UNSTABLE")
    drift: Finite
    load_ms: Duration
    first_inference_ms: Duration
    peak_rss_bytes: Number | None
    load_average: list[Finite] = Field(max_length=3)
    order: Text = Field(description="how runs of different artefacts were mixed")
    cpus: list[Number] | None = Field(
        None, max_length=10_000, description="cores it was bound to; null: all"
    )
    states: list[dict[Name, Any]] = Field(
        [],
        max_length=10_000,
        description="frequency, temperature and throttling before each round and after the last",
    )
    warnings: list[Text] = Field([], max_length=1000)
    peak_gmacs_per_s: Finite | None = Field(
        None,
        gt=0,
        description="fastest convolution measured in the same run, same precision and threads",
    )
    energy_mj: Finite | Text = Field(
        NOT_MEASURED, description="an inference, by a real sensor only"
    )
    profile: list[tuple[Text, Duration]] | None = Field(
        None, max_length=100_000, description="milliseconds by operator"
    )
    profile_note: Text = ""

    @field_validator("latency")
    @classmethod
    def holds_a_median(cls, latency: dict[str, float]) -> dict[str, float]:
        """Raises ValueError for figures without a median above zero and its interval."""
        for key in ("median_ms", "interval_low_ms", "interval_high_ms", "p90_ms"):
            if key not in latency:
                raise ValueError(f"'{key}' is missing")
        if not latency["median_ms"] > 0:
            raise ValueError(f"median_ms is {latency['median_ms']}, and no inference takes no time")
        return latency

    def gmacs_per_s(self) -> float:
        """Achieved true GMACs a second at the median."""
        return self.macs / self.latency["median_ms"] / 1e6

    def peak_share(self) -> float | None:
        """Achieved share of the measured convolution peak."""
        return self.gmacs_per_s() / self.peak_gmacs_per_s if self.peak_gmacs_per_s else None


class CountRecord(RecordBase):
    """Instructions of one inference on an emulated core. No time: an emulator's time is not a device's."""

    kind: Literal["emulated-instructions"] = "emulated-instructions"
    core: Name
    instructions: Count
    first_instructions: Number = Field(description="of the inference before the reported one")
    shares: dict[Name, Share] = Field(description="share of all instructions by kind")


class PredictedRecord(RecordBase):
    """A cost that a predictor gave."""

    kind: Literal["predicted"] = "predicted"
    unit: Literal["ms", "instructions"]
    predicted: Finite
    predictor: Text
    validation_error: Finite = Field(description="median relative error on nets it had not seen")


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
    if not isinstance(kind, str) or kind not in KINDS:
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


def why_unsteady(record: BenchRecord) -> str:
    """The reasons of a verdict of UNSTABLE; records of before have their drift only."""
    return "; ".join(record.reasons) or f"the last third took {record.drift:.2f} times the first"


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
