"""Records as files, one an artefact, device and number of threads. A steady one is not lost to an unsteady one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgegan.benchmarks.record import (
    AnyRecord,
    BenchRecord,
    CountRecord,
    parse_record,
    why_unsteady,
)
from edgegan.console import say
from edgegan.errors import InputError
from edgegan.files import write_json
from edgegan.ownership.folders import held

LOCK_WAIT_S = 30.0  # for another bench that writes its records into the same folder


def write_records(
    folder: Path, records: Sequence[AnyRecord], *, overwrite: bool = False
) -> list[Path]:
    """Writes each record atomically; returns where they are. Raises OutputError where a user's file is in the way.

    A steady record of the same bytes stays where the new one is unsteady, unless `overwrite`; that is said.
    """
    with held(folder, "bench", foreign=True, wait_s=LOCK_WAIT_S):
        return write_held(folder, records, overwrite=overwrite)


def write_held(folder: Path, records: Sequence[AnyRecord], *, overwrite: bool) -> list[Path]:
    """`write_records` in a folder that is held."""
    before = known(folder)
    paths = []
    for record in records:
        path = folder / file_name(record)
        kept = None if overwrite else steadier(record, before.get(identity(record), []))
        if kept is not None:
            say(kept_text(record, kept))
            continue
        write_json(path, record.model_dump(mode="json"))
        paths.append(path)
        for other, _ in before.get(identity(record), []):
            if other != path:
                other.unlink(missing_ok=True)  # of the same measurement, under an earlier name
    return paths


def file_name(record: AnyRecord) -> str:
    """DEVICE__ARTEFACT.json, with the number of threads where there are more than one."""
    threads = f"__{record.threads}threads" if record.threads > 1 else ""
    return f"{record.device}__{record.artefact}{threads}.json"


def identity(record: AnyRecord) -> tuple[object, ...]:
    """What one record is of."""
    core = record.core if isinstance(record, CountRecord) else ""
    return record.kind, record.device, record.artefact, record.threads, record.batch, core


def known(folder: Path) -> dict[tuple[object, ...], list[tuple[Path, AnyRecord]]]:
    """The records of a folder by what they are of; one that cannot be read is none."""
    found: dict[tuple[object, ...], list[tuple[Path, AnyRecord]]] = {}
    for path in sorted(folder.glob("*__*.json")):
        try:
            record = parse_record(path)
        except InputError:
            continue
        found.setdefault(identity(record), []).append((path, record))
    return found


def steadier(
    record: AnyRecord, others: Sequence[tuple[Path, AnyRecord]]
) -> tuple[Path, BenchRecord] | None:
    """The steady one among earlier records of the same bytes, where this one is unsteady."""
    if not isinstance(record, BenchRecord) or record.verdict == "STABLE":
        return None
    for path, other in others:
        same = isinstance(other, BenchRecord) and other.sha256 == record.sha256
        if same and isinstance(other, BenchRecord) and other.verdict == "STABLE":
            return path, other
    return None


def kept_text(record: AnyRecord, kept: tuple[Path, BenchRecord]) -> str:
    """What is said of a record that was not written."""
    assert isinstance(record, BenchRecord)
    path, other = kept
    return (
        f"{record.device}: {record.artefact} is UNSTABLE now ({why_unsteady(record)}), so the steady record of "
        f"{other.started}, {other.latency['median_ms']:.2f} ms, stays in {path}; measure on a quieter machine, or "
        "replace it with --overwrite"
    )
