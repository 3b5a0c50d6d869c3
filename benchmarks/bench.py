"""`edgegan bench`: every artefact of a run on one device, by the method that the device allows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from edgegan.artefact import ModelManifest, read_model
from edgegan.benchmarks.devices.book import open_device
from edgegan.benchmarks.devices.interface import Device
from edgegan.benchmarks.measure import Entry, measure
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord
from edgegan.benchmarks.record_files import write_records
from edgegan.benchmarks.subjects import find_artefacts
from edgegan.benchmarks.timing import compare_rounds
from edgegan.console import say
from edgegan.errors import ConfigError, InputError
from edgegan.files import check_sha256, make_folder
from edgegan.ownership.folders import check_place

COMPARE_ROUNDS = 20
ROLES = {"both": ("teacher", "student"), "teacher": ("teacher",), "student": ("student",)}


def bench(
    source: Path, output: Path | None, threads: Sequence[int] = (1,), seconds: float = 10.0
) -> list[BenchRecord]:
    """Measures every artefact on this machine and writes the records: what quickstart and others call."""
    with closing(open_device("host")) as device:
        records = bench_device(source, output, device, threads, Method(seconds=seconds))
    return [record for record in records if isinstance(record, BenchRecord)]


def bench_device(
    source: Path,
    output: Path | None,
    device: Device,
    threads: Sequence[int],
    method: Method,
    *,
    which: str | None = None,
    overwrite: bool = False,
) -> list[AnyRecord]:
    """Measures or counts every artefact on a device; records are written only when all of it went well. An unsteady one
    takes the place of a steady one of the same artefact with `overwrite` only.

    Where instructions are counted only students are unless `which` says otherwise, since a teacher takes minutes there.
    """
    counts = device.counts is not None
    if which is None:
        which = "student" if counts and source.is_dir() else "both"
        if which == "student":
            say("emulated: students only; --which both counts teachers too")
    folder, artefacts = find_artefacts(source, ROLES[which])
    check_place(output or folder, "bench", foreign=True)
    make_folder(output or folder)
    if counts:
        check_one_thread(threads)
    records: list[AnyRecord] = []
    for count in threads:
        records += device.measure(artefacts, count, method)
    write_records(output or folder, records, overwrite=overwrite)
    return records


def check_one_thread(threads: Sequence[int]) -> None:
    """Raises ConfigError for more: waiting threads spin, and spinning would be counted."""
    if list(threads) != [1]:
        raise ConfigError("instructions are counted with one thread; leave --threads at 1")


def load_pair(first: Path, second: Path) -> list[tuple[Path, ModelManifest]]:
    """The two artefacts of a comparison; each may be a file or a run, then its int8 student."""
    found = []
    for source in (first, second):
        if source.is_dir():
            options = [
                (path, model)
                for path, model in find_artefacts(source, ROLES["student"])[1]
                if model.precision == "int8" and model.target == "tflite"
            ]
            if not options:
                raise InputError(
                    f"{source} has no int8 .tflite of a student; name an artefact instead"
                )
            found.append(options[0])
        else:
            model = read_model(source)
            check_sha256(source, model.sha256)
            found.append((source, model))
    return found


def compare(
    first: Path, second: Path, device: Device, threads: int, method: Method
) -> dict[str, object]:
    """B against A in one interleaved run: the ratio with a 95 % interval, or the exact ratio of counts."""
    pair = load_pair(first, second)
    worker = device.worker()
    if worker is None:
        raise ConfigError("--compare needs a device that runs Python: host, ssh:// or arm64")
    if worker.counts is not None:
        check_one_thread([threads])
        one, other = worker.measure(pair, threads, method)
        assert isinstance(one, CountRecord) and isinstance(other, CountRecord)
        return {
            "kind": "emulated-instructions",
            "device": device.name,
            "a": one.instructions,
            "b": other.instructions,
            "ratio": other.instructions / one.instructions,
        }
    records, entries = measure(
        worker, pair, threads, replace(method, rounds=COMPARE_ROUNDS, peak=False)
    )
    return compared(records, entries)


def compared(records: Sequence[BenchRecord], entries: Sequence[Entry]) -> dict[str, object]:
    """The comparison of two measured artefacts."""
    found = compare_rounds(entries[0].rounds_ms, entries[1].rounds_ms)
    spans_one = found["interval_low"] <= 1 <= found["interval_high"]
    return {
        "kind": "measured",
        "device": records[0].device,
        "a": records[0].latency["median_ms"],
        "b": records[1].latency["median_ms"],
        **found,
        "difference": "no difference shown" if spans_one else "different",
        "verdicts": [record.verdict for record in records],
    }
