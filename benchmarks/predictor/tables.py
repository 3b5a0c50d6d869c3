"""Tables of measured layers, interpolated between grid points, and saved as JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.predictor.family import Family, Layer, Pattern
from edgegan.benchmarks.predictor.layers import split
from edgegan.benchmarks.record import PredictedRecord, subject
from edgegan.contracts.quantities import Finite, Number, Text, Width
from edgegan.errors import EXIT_GATE, ConfigError, EdgeGANError, InputError, first_problem
from edgegan.files import read_json, write_json
from edgegan.run import command_line, environment, now

SCHEMA_VERSION: Final = 1
MAX_ERROR = 0.10
POINTS = {0: 1, 1: 6, 2: 5, 3: 3}
ROUND_TO = 8
MOST_COLUMNS = 10_000


class PredictorError(EdgeGANError):
    """A predictor whose error on unseen networks is above 10 % (exit 3)."""

    exit_code = EXIT_GATE


class Table(BaseModel):
    """Costs of one layer over a grid of widths; `costs` are in the order of itertools.product over `axes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signature: Text
    columns: tuple[tuple[int, int, int], ...] = Field(max_length=MOST_COLUMNS)
    axes: tuple[Annotated[tuple[Width, ...], Field(min_length=1)], ...] = Field(max_length=8)
    costs: tuple[Finite, ...]

    @model_validator(mode="after")
    def is_a_grid(self) -> Table:
        """A cost for every point, along axes that rise."""
        if math.prod(len(axis) for axis in self.axes) != len(self.costs):
            raise ValueError("costs: there is not one for each point of the axes")
        for axis in self.axes:
            if any(low >= high for low, high in itertools.pairwise(axis)):
                raise ValueError("axes: their widths do not rise")
        return self

    def cost(self, widths: Sequence[int]) -> float:
        """Multilinear in the widths; beyond the grid the last interval is continued."""
        corners = [(0, 1.0)]
        for axis, width in zip(self.axes, widths, strict=True):
            steps = []
            if len(axis) == 1:
                steps = [(0, 1.0)]
            else:
                upper = next((i for i, v in enumerate(axis[1:-1], 1) if v >= width), len(axis) - 1)
                low, high = axis[upper - 1], axis[upper]
                share = (width - low) / (high - low)
                steps = [(upper - 1, 1 - share), (upper, share)]
            corners = [
                (place * len(axis) + index, weight * part)
                for place, weight in corners
                for index, part in steps
            ]
        return sum(self.costs[place] * weight for place, weight in corners)


class Validation(BaseModel):
    """Relative errors on whole networks that neither table nor scale has seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: Number
    median_error: Finite
    max_error: Finite


class Slots(BaseModel):
    """One place of the network: its table and the rule of each width."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Text
    rules: tuple[tuple[int, int, int] | None, ...]


class Predictor(BaseModel):
    """cost = offset + scale * sum of the layers' table costs, in `unit`, for one family on one device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["predicted"] = "predicted"
    unit: Literal["ms", "instructions"]
    device: str
    runtime_version: str
    threads: int
    tables: dict[Text, Table]
    slots: tuple[Slots, ...]
    offset: Finite
    scale: Finite
    drift: Finite = Field(description="largest change of the sentinel network that was corrected")
    validation: Validation | None = None
    built: str
    command: str

    def check(self) -> Predictor:
        """Itself; raises PredictorError without a validation or with an error above 10 %."""
        if self.validation is None or not self.validation.median_error <= MAX_ERROR:
            error = "unknown" if self.validation is None else f"{self.validation.median_error:.1%}"
            raise PredictorError(
                f"the predictor for {self.device} is off by {error} on unseen networks, the limit is {MAX_ERROR:.0%}; "
                "build it again on a quieter device or with more samples"
            )
        return self

    def predict(self, layers: Sequence[Layer]) -> float:
        """Cost of a network given as layers, in `unit`; raises ConfigError for a layer without a table."""
        total = 0.0
        for layer in layers:
            table = self.tables.get(layer.table)
            if table is None:
                raise ConfigError(f"the predictor for {self.device} has no table {layer.table}")
            total += table.cost(layer.widths)
        return self.offset + self.scale * total

    def layers_from(self, widths: Sequence[int]) -> list[Layer]:
        """The layers of a candidate with these widths, in the order the samples' widths were given."""
        found = []
        for number, slot in enumerate(self.slots):
            values = []
            for rule in slot.rules:
                if rule is None:
                    raise ConfigError(
                        f"part {number} follows no single width of the samples; give the artefact or its layers"
                    )
                index, numerator, denominator = rule
                values.append(widths[index] * numerator // denominator)
            found.append(Layer(slot.table, tuple(values)))
        return found

    def layers_of(self, path: Path) -> list[Layer]:
        """The layers of an artefact; raises InputError when it is of another family or size."""
        found = []
        for number, part in enumerate(split(path)):
            for key, table in self.tables.items():
                if table.signature != part.signature:
                    continue
                pattern = Pattern(table.signature, table.columns, len(table.axes))
                widths = pattern.widths_of(part.numbers)
                if widths is not None:
                    found.append(Layer(key, widths))
                    break
            else:
                raise InputError(
                    f"{path}: part {number} is in no table of this predictor; build one for its family and size"
                )
        return found

    def record(self, path: Path, model: ModelManifest) -> PredictedRecord:
        """A record of kind predicted for an artefact; raises PredictorError when this is not to be trusted."""
        validation = self.check().validation
        assert validation is not None
        return PredictedRecord(
            **subject(model),
            device=self.device,
            runtime="predictor",
            runtime_version=self.runtime_version,
            threads=self.threads,
            environment=environment(),
            started=now(),
            command=command_line(),
            unit=self.unit,
            predicted=self.predict(self.layers_of(path)),
            predictor=f"{len(self.tables)} tables, built {self.built}",
            validation_error=validation.median_error,
        )

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        write_json(path, self.model_dump(mode="json"))

    @staticmethod
    def load(path: Path) -> Predictor:
        """Reads it; raises InputError naming what is wrong."""
        try:
            return Predictor.model_validate(read_json(path))
        except ValidationError as error:
            raise InputError(
                f"{path}: {first_problem(error)}; build the predictor again"
            ) from error


def grid(values: Sequence[int], points: int) -> tuple[int, ...]:
    """At most `points` widths from the smallest to the largest seen, in multiples of 8 where all seen ones are."""
    low, high = min(values), max(values)
    step = ROUND_TO if all(value % ROUND_TO == 0 for value in values) else 1
    spaced = [low + (high - low) * i / max(1, points - 1) for i in range(points)]
    rounded = {min(high, max(low, round(value / step) * step)) for value in spaced}
    return tuple(sorted(rounded | {low, high}))


def plan_tables(family: Family) -> dict[str, dict[str, Any]]:
    """For each table its pattern, axes and grid points, over the widths seen in all places that share it."""
    seen: dict[str, list[tuple[int, ...]]] = {}
    patterns: dict[str, Pattern] = {}
    for slot in family.slots:
        key = slot.pattern.key()
        patterns[key] = slot.pattern
        seen.setdefault(key, []).extend(slot.seen)
    plans = {}
    for key, pattern in patterns.items():
        points = POINTS[pattern.variables]
        axes = tuple(
            grid([widths[index] for widths in seen[key]], points)
            for index in range(pattern.variables)
        )
        plans[key] = {"pattern": pattern, "axes": axes, "points": list(itertools.product(*axes))}
    return plans
