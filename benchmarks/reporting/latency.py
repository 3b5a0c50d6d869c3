"""Bench records as bars. A group holds one kind of record, of one device at one number of threads: nothing else is
comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord, PredictedRecord

TITLES = {
    "measured": "Latency, measured",
    "emulated-instructions": "Instructions, counted on an emulated core: not a time",
    "predicted": "Predicted, not measured",
}


@dataclass(frozen=True)
class Bar:
    """One artefact's cost; `low` and `high` are the ends of its 95 % interval where it has one."""

    label: str
    role: str
    precision: str
    value: float
    low: float | None
    high: float | None
    text: str
    note: str


@dataclass(frozen=True)
class BarGroup:
    """Bars that share an axis from 0 to `top`."""

    kind: str
    title: str
    device: str
    unit: str
    about: str
    top: float
    bars: list[Bar]


def bar_groups(records: Sequence[AnyRecord]) -> list[BarGroup]:
    """Every record in its group: measured first, this machine before others, fewest threads first."""
    groups: dict[tuple[Any, ...], list[AnyRecord]] = {}
    for record in records:
        groups.setdefault(group_key(record), []).append(record)
    return [make_group(groups[key]) for key in sorted(groups)]


def group_key(record: AnyRecord) -> tuple[Any, ...]:
    """What records must share to stand on one axis, in the order groups are shown."""
    unit = record.unit if isinstance(record, PredictedRecord) else ""
    core = record.core if isinstance(record, CountRecord) else ""
    kind = list(TITLES).index(record.kind)
    return kind, record.device != "host", record.device, core, unit, record.threads, record.batch


def make_group(records: list[AnyRecord]) -> BarGroup:
    """A group's bars, the dearest first."""
    bars = sorted((make_bar(record) for record in records), key=lambda bar: -bar.value)
    first = records[0]
    threads = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
    about = f"{threads}, batch {first.batch}, one process for each artefact"
    device, unit = first.device, "ms"
    if isinstance(first, BenchRecord):
        board = first.device_state.get("board") or first.device_state.get("processor")
        about = (
            f"{board or first.environment.get('processor', 'unknown processor')}, {about}, "
            f"{first.order}; measured {first.started}. The thin line is the 95 % interval of the median."
        )
    elif isinstance(first, CountRecord):
        device, unit = first.core, "instructions"
        about = "Instructions of one inference, one thread. Compare models of one precision on one core."
    else:
        unit = first.unit
        about = f"By {first.predictor}; median error on nets it had not seen {first.validation_error:.1%}."
    top = max(max(bar.value, bar.high or 0) for bar in bars)
    return BarGroup(first.kind, TITLES[first.kind], device, unit, about, top or 1.0, bars)


def make_bar(record: AnyRecord) -> Bar:
    """One record."""
    note = f"{record.runtime} {record.runtime_version}"
    low = high = None
    if isinstance(record, BenchRecord):
        value = record.latency["median_ms"]
        low, high = record.latency["interval_low_ms"], record.latency["interval_high_ms"]
        text = f"{value:.2f} ms ({low:.2f} to {high:.2f})"
        if record.verdict != "STABLE":
            note += f", {record.verdict}"
    elif isinstance(record, CountRecord):
        value = float(record.instructions)
        text = f"{value / 1e6:,.1f} million"
    else:
        value = record.predicted
        text = f"{value:.2f} ms" if record.unit == "ms" else f"{value / 1e6:,.1f} million"
    return Bar(record.artefact, record.role, record.precision, value, low, high, text, note)


@dataclass(frozen=True)
class OperatorTime:
    """Where an artefact's time went: milliseconds of all operators of one name."""

    name: str
    calls: int
    ms: float
    share: float


def operator_times(record: BenchRecord, most: int = 12) -> list[OperatorTime]:
    """The operators of a profile that take longest, those of one name together; none when it was not profiled."""
    spent: dict[str, float] = {}
    calls: Counter[str] = Counter()
    for name, milliseconds in record.profile or []:
        kind = name.split()[0] if record.target == "onnx" else name
        spent[kind] = spent.get(kind, 0.0) + milliseconds
        calls[kind] += 1
    total = sum(spent.values()) or 1.0
    ranked = sorted(spent.items(), key=lambda item: -item[1])[:most]
    return [OperatorTime(name, calls[name], value, value / total) for name, value in ranked]
