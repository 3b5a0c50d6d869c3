"""`edgegan bench --device host`: latency of artefacts on this machine, each in its own process, rounds interleaved."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edgegan.benchmarks.record import BenchRecord
from edgegan.benchmarks.timing import summarise, verdict

from edgegan.artefact import ModelManifest, exported_models, read_model
from edgegan.console import progress
from edgegan.errors import InputError
from edgegan.files import check_sha256, make_folder, write_json
from edgegan.run import MANIFEST, command_line, environment, now
from edgegan.runtime import Session
from edgegan.tensors import example_input

WARMUP_RUNS = 3
WARMUP_MS = 500.0
ROUNDS = 10


@dataclass
class Entry:
    """One artefact under measurement."""

    model: ModelManifest
    path: Path
    session: Session
    first_ms: float = 0.0
    runs_a_round: int = 1
    samples_ms: list[float] = field(default_factory=list)
    peak_rss_bytes: int | None = None


def find_artefacts(source: Path) -> tuple[Path, list[tuple[Path, ModelManifest]]]:
    """The bench folder and the artefacts of a run, of an export folder or of one artefact file."""
    if source.is_file():
        model = read_model(source)
        check_sha256(source, model.sha256)
        return source.parent / "bench", [(source, model)]
    if (source / MANIFEST).is_file():
        return source / "bench", exported_models(source / "export")
    return source / "bench", exported_models(source)


def bench(source: Path, output: Path | None, threads: int, seconds: float) -> list[BenchRecord]:
    """Measures every artefact for about `seconds` each (at least 30 inferences, or 10 of slow ones) and writes records.

    Runs are interleaved: each of ten rounds takes a few inferences of every artefact in turn, so that a change of the
    machine's speed falls on all alike.
    """
    folder, artefacts = find_artefacts(source)
    if not artefacts:
        raise InputError(f"{source} holds no artefacts; make some with: edgegan export")
    make_folder(output or folder)
    started, before = now(), list(os.getloadavg())
    with contextlib.ExitStack() as stack:
        entries = []
        for path, model in artefacts:
            entries.append(Entry(model, path, stack.enter_context(Session(path, threads=threads))))
        with progress("bench", ROUNDS) as bar:
            for entry in entries:
                warm_up(entry, seconds)
            for number in range(ROUNDS):
                order = entries if number % 2 == 0 else entries[::-1]
                for entry in order:
                    answer = entry.session.time(entry.runs_a_round)
                    entry.samples_ms += answer["samples_ms"]
                    entry.peak_rss_bytes = answer["peak_rss_bytes"]
                bar.step(number + 1)
        records = [make_record(entry, threads, started, before) for entry in entries]
    for record in records:
        write_json(
            (output or folder) / f"host__{record.artefact}.json", record.model_dump(mode="json")
        )
    return records


def warm_up(entry: Entry, seconds: float) -> None:
    """At least three runs and half a second; then decides how many inferences a round takes."""
    entry.first_ms = entry.session.time(1, example_input(entry.model))["samples_ms"][0]
    spent = entry.first_ms
    taken: list[float] = []
    while len(taken) < WARMUP_RUNS - 1 or spent < WARMUP_MS:
        taken += entry.session.time(1)["samples_ms"]
        spent += taken[-1]
    typical = float(np.median(taken[-3:]))
    wanted = max(seconds * 1e3 / typical, 30 if typical < 200 else 10)
    entry.runs_a_round = max(1, math.ceil(wanted / ROUNDS))


def make_record(entry: Entry, threads: int, started: str, load_before: list[float]) -> BenchRecord:
    """The record of one artefact."""
    model = entry.model
    judged = verdict(entry.samples_ms)
    return BenchRecord(
        device="host",
        artefact=model.file,
        sha256=model.sha256,
        role=model.role,
        target=model.target,
        precision=model.precision,
        runtime=entry.session.runtime,
        runtime_version=entry.session.version,
        threads=threads,
        size=model.sizes[0],
        parameters=model.parameters,
        macs=model.macs,
        macs_published=model.complexity["macs_published"],
        macs_fvcore=model.complexity["macs_fvcore"],
        size_bytes=model.bytes,
        latency=summarise(entry.samples_ms),
        samples_ms=[round(value, 4) for value in entry.samples_ms],
        verdict=judged["verdict"],
        drift=judged["drift"],
        load_ms=entry.session.load_ms,
        first_inference_ms=entry.first_ms,
        peak_rss_bytes=entry.peak_rss_bytes,
        environment=environment(),
        load_average=[round(value, 2) for value in load_before],
        started=started,
        command=command_line(),
        order=f"{ROUNDS} rounds over all artefacts, every other one in reverse",
    )
