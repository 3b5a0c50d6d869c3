"""`edgegan bench`: every artefact of a run on one device, by the method that the device allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgegan.artefact import ModelManifest, read_model
from edgegan.benchmarks.benchmark_tool import measure_with_tool
from edgegan.benchmarks.counting import count_inference
from edgegan.benchmarks.devices.adb import AdbDevice
from edgegan.benchmarks.devices.book import AnyDevice, open_device
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.measure import Entry, Method, measure, write_records
from edgegan.benchmarks.record import AnyRecord, BenchRecord, CountRecord, subject
from edgegan.benchmarks.subjects import check_input, check_output, find_artefacts, reference_output
from edgegan.benchmarks.timing import compare_rounds
from edgegan.console import progress, say
from edgegan.errors import ConfigError, InputError
from edgegan.files import check_sha256, make_folder
from edgegan.run import command_line, environment, now
from edgegan.runtime.session import Session

COMPARE_ROUNDS = 20
ROLES = {"both": ("teacher", "student"), "teacher": ("teacher",), "student": ("student",)}


def bench(
    source: Path, output: Path | None, threads: Sequence[int] = (1,), seconds: float = 10.0
) -> list[BenchRecord]:
    """Measures every artefact on this machine and writes the records: what quickstart and others call."""
    records = bench_device(source, output, "host", threads, Method(seconds=seconds))
    return [record for record in records if isinstance(record, BenchRecord)]


def bench_device(
    source: Path,
    output: Path | None,
    device_name: str,
    threads: Sequence[int],
    method: Method,
    *,
    emulate: str | None = None,
    bootstrap: bool = False,
    benchmark_binary: Path | None = None,
    cpus: Sequence[int] | None = None,
    which: str | None = None,
) -> list[AnyRecord]:
    """Measures or counts every artefact on a device; records are written only when all of it went well.

    Under emulation only students are counted unless `which` says otherwise, since a teacher takes minutes there.
    """
    device = open_device(device_name, emulate=emulate, bootstrap=bootstrap)
    try:
        emulated = isinstance(device, EmulatedDevice)
        if which is None:
            which = "student" if emulated and source.is_dir() else "both"
            if which == "student":
                say("emulated: students only; --which both counts teachers too")
        folder, artefacts = find_artefacts(source, ROLES[which])
        make_folder(output or folder)
        if isinstance(device, EmulatedDevice):
            check_one_thread(threads)
            counts = count_all(device, artefacts)
            write_records(output or folder, counts)
            return list(counts)
        records: list[BenchRecord] = []
        for count in threads:
            if isinstance(device, AdbDevice):
                records += measure_with_tool(device, artefacts, benchmark_binary, count, method)
            else:
                records += measure(device, artefacts, count, method, cpus)[0]
        write_records(output or folder, records, with_threads=len(threads) > 1)
        return list(records)
    finally:
        device.close()


def check_one_thread(threads: Sequence[int]) -> None:
    """Raises ConfigError for more: waiting threads spin, and spinning would be counted."""
    if list(threads) != [1]:
        raise ConfigError("instructions are counted with one thread; leave --threads at 1")


def count_all(
    device: EmulatedDevice, artefacts: Sequence[tuple[Path, ModelManifest]]
) -> list[CountRecord]:
    """Correctness, then the instructions of one inference, of every artefact in turn."""
    state = device.probe().as_json()
    records = []
    with progress(f"emulate {device.cpu}", len(artefacts)) as bar:
        for number, (path, model) in enumerate(artefacts):
            started, item = now(), check_input(path, model)
            with Session(path, place=device) as session:
                reference, called = reference_output(path, item, session.runtime)
                output = session.run(item)
                correctness = check_output(
                    model.file, device.name, output, reference, called, model.precision
                )
                count = count_inference(session, device)
            records.append(
                CountRecord(
                    **subject(model),
                    device=device.name,
                    core=device.cpu,
                    runtime=session.runtime,
                    runtime_version=session.version,
                    threads=1,
                    environment=environment(),
                    device_state=state,
                    started=started,
                    command=command_line(),
                    correctness=correctness,
                    outside_xnnpack=session.outside_xnnpack,
                    instructions=count.instructions,
                    first_instructions=count.first_instructions,
                    shares={kind: round(share, 6) for kind, share in count.shares.items()},
                )
            )
            bar.step(number + 1, model.file)
    return records


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
                raise InputError(f"{source} has no student_int8.tflite; name an artefact instead")
            found.append(options[0])
        else:
            model = read_model(source)
            check_sha256(source, model.sha256)
            found.append((source, model))
    return found


def compare(
    first: Path,
    second: Path,
    device_name: str,
    threads: int,
    method: Method,
    *,
    emulate: str | None = None,
    bootstrap: bool = False,
) -> dict[str, object]:
    """B against A in one interleaved run: the ratio with a 95 % interval, or the exact ratio of counts."""
    pair = load_pair(first, second)
    device: AnyDevice = open_device(device_name, emulate=emulate, bootstrap=bootstrap)
    try:
        if isinstance(device, AdbDevice):
            raise ConfigError("--compare needs a device that runs Python: host, ssh:// or arm64")
        if isinstance(device, EmulatedDevice):
            check_one_thread([threads])
            one, other = count_all(device, pair)
            return {
                "kind": "emulated-instructions",
                "device": device.name,
                "a": one.instructions,
                "b": other.instructions,
                "ratio": other.instructions / one.instructions,
            }
        rounds = replace(method, rounds=COMPARE_ROUNDS, peak=False)
        records, entries = measure(device, pair, threads, rounds)
        return compared(records, entries)
    finally:
        device.close()


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
