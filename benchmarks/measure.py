"""Latency on a device that runs the worker: a process for each artefact, interleaved rounds, the device watched."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.artefact import ModelManifest, check_takes
from edgegan.benchmarks.devices.interface import Device, WorkerDevice
from edgegan.benchmarks.devices.state import DeviceState, load_average
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.peak import PeakProbe
from edgegan.benchmarks.record import NOT_MEASURED, BenchRecord, Correctness, subject
from edgegan.benchmarks.subjects import check_input, check_on_host, check_output, reference_output
from edgegan.benchmarks.timing import summarise, verdict
from edgegan.console import progress, say
from edgegan.deployment.runtimes import LOADERS
from edgegan.run import command_line, environment, now
from edgegan.runtime.session import Session

WARMUP_RUNS = 3
WARMUP_MS = 500.0
WARMUP_SPREAD = 1.05
WARMUP_LIMIT_MS = 5000.0
WARMUP_LIMIT_S = 60.0
MOST_RUNS_A_ROUND = 500_000
COOL_DEGREES = 3.0
COOL_STEP_S = 1.0
PROFILE_RUNS = 20


@dataclass
class Entry:
    """One artefact under measurement."""

    model: ModelManifest
    path: Path
    session: Session
    correctness: Correctness
    first_ms: float = 0.0
    runs_a_round: int = 1
    rounds_ms: list[list[float]] = field(default_factory=list)
    energy_uj: int = 0
    peak_rss_bytes: int | None = None

    def samples(self) -> list[float]:
        """Every sample in the order they were taken."""
        return [value for samples in self.rounds_ms for value in samples]


def measure(
    device: WorkerDevice,
    artefacts: Sequence[tuple[Path, ModelManifest]],
    threads: int,
    method: Method,
) -> tuple[list[BenchRecord], list[Entry]]:
    """Checks every artefact's output, then times all of them in interleaved rounds; the records, and the raw rounds.

    Every other round goes through the artefacts in reverse (A B, B A, ...), so that a change of the device's speed
    falls on all alike. Raises ParityError before anything is timed, DeviceError when the device is lost.
    """
    started, before = now(), device.probe()
    bound = chosen_cores(before, method)
    tell_warnings(device, before)
    with contextlib.ExitStack() as stack:
        entries = []
        for path, model in artefacts:
            session = stack.enter_context(Session(path, threads=threads, place=device, cpus=bound))
            check_takes(path, model, session.inputs)
            item = check_input(path, model)
            entries.append(Entry(model, path, session, check(device, path, model, item, session)))
            warm_up(entries[-1], item, method)
        wants_peak = method.peak and "litert" in device.runtimes(LOADERS[".tflite"].runtimes)
        peak = stack.enter_context(PeakProbe(device, threads, bound)) if wants_peak else None
        states = run_rounds(device, entries, peak, before, method)
        profiles = [
            entry.session.profile(PROFILE_RUNS) if method.profile else {"rows": None, "note": ""}
            for entry in entries
        ]
    about = circumstances(device, states, method, started) | {"threads": threads, "cpus": bound}
    records = [
        make_record(entry, about, states, peak, profile)
        for entry, profile in zip(entries, profiles, strict=True)
    ]
    return records, entries


def chosen_cores(state: DeviceState, method: Method) -> list[int] | None:
    """The cores that the method names, else the strongest cluster when it asks for it; None for all."""
    if method.cpus:
        return list(method.cpus)
    return state.big_cores() if method.big_cores else None


def tell_warnings(device: Device, state: DeviceState) -> None:
    """Says what makes timings there less trustworthy."""
    for warning in state.warnings():
        say(f"{device.name}: {warning}")


def circumstances(
    device: Device, states: Sequence[DeviceState], method: Method, started: str
) -> dict[str, Any]:
    """What the records of one measurement share: where, how, in which order, and how the device fared meanwhile."""
    before = states[0]
    return {
        "device": device.name,
        "environment": environment(),
        "device_state": before.as_json(),
        "states": [brief(state) for state in states],
        "warnings": before.warnings(),
        "load_average": load_average(before.load),
        "started": started,
        "command": command_line(),
        "order": f"{method.rounds} rounds over all artefacts, every other one in reverse",
    }


def check(
    device: WorkerDevice, path: Path, model: ModelManifest, item: np.ndarray, session: Session
) -> Correctness:
    """The output on the device against its reference."""
    if device.name == "host":
        return check_on_host(path, model, item, session)
    reference, called = reference_output(path, item, session.runtime)
    output = session.run(item)
    return check_output(model.file, device.name, output, reference, called, model.precision)


def warm_up(entry: Entry, item: np.ndarray, method: Method) -> None:
    """At least three runs and half a second, until three in a row agree to 5 %; then decides the runs of a round.

    It ends after five seconds by the device's clock or a minute by ours, whatever the device says.
    """
    began = time.monotonic()
    entry.first_ms = entry.session.time(1, item)["samples_ms"][0]
    spent = entry.first_ms
    taken: list[float] = []
    while len(taken) < WARMUP_RUNS or spent < WARMUP_MS or not settled(taken):
        taken += entry.session.time(1)["samples_ms"]
        spent += taken[-1]
        late = spent > WARMUP_LIMIT_MS or time.monotonic() - began > WARMUP_LIMIT_S
        if late and len(taken) >= WARMUP_RUNS:
            break
    typical = min(taken[-WARMUP_RUNS:])
    wanted = max(method.seconds * 1e3 / typical, method.min_runs)
    allowed = max(method.max_seconds * 1e3 / typical, method.rounds)
    runs = math.ceil(min(wanted, allowed) / method.rounds)
    entry.runs_a_round = max(1, min(runs, MOST_RUNS_A_ROUND))


def settled(taken: Sequence[float]) -> bool:
    """Whether the last three runs lie within 5 % of each other."""
    last = taken[-WARMUP_RUNS:]
    return max(last) <= WARMUP_SPREAD * min(last)


def run_rounds(
    device: WorkerDevice,
    entries: Sequence[Entry],
    peak: PeakProbe | None,
    before: DeviceState,
    method: Method,
) -> list[DeviceState]:
    """The rounds; returns the device's state before each and after the last."""
    states = [before]
    with progress(f"bench {device.name}", method.rounds) as bar:
        for number in range(method.rounds):
            order = entries if number % 2 == 0 else entries[::-1]
            energy = states[-1].energy_uj
            for entry in order:
                cool_down(device, before, method.cooldown_s)
                answer = entry.session.time(entry.runs_a_round)
                entry.rounds_ms.append(answer["samples_ms"])
                entry.peak_rss_bytes = answer["peak_rss_bytes"]
                if before.energy_uj:
                    after = device.probe().energy_uj
                    entry.energy_uj += spent_energy(energy, after)
                    energy = after
            if peak is not None:
                peak.step()
            states.append(device.probe())
            bar.step(number + 1)
    return states


def cool_down(device: WorkerDevice, before: DeviceState, limit_s: float) -> None:
    """Waits, at most `limit_s`, while the device is more than 3 degrees warmer than at the start."""
    start = before.hottest_c()
    if start is None:
        return
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        now_c = device.probe().hottest_c()
        if now_c is None or now_c <= start + COOL_DEGREES:
            return
        time.sleep(min(COOL_STEP_S, max(0.0, deadline - time.monotonic())))


def spent_energy(before: dict[str, int], after: dict[str, int]) -> int:
    """Microjoules between two readings of the package counters; a counter that wrapped adds nothing."""
    return sum(max(0, after[path] - value) for path, value in before.items() if path in after)


def brief(state: DeviceState) -> dict[str, Any]:
    """What changes during a measurement."""
    return {
        "frequencies_khz": {str(c.number): c.frequency_khz for c in state.cores if c.frequency_khz},
        "governors": sorted({c.governor for c in state.cores if c.governor}),
        "hottest_c": state.hottest_c(),
        "throttled": state.throttled,
        "throttle_events": state.throttle_events,
        "load": state.load,
    }


def reasons_to_doubt(samples: Sequence[float], states: Sequence[DeviceState]) -> list[str]:
    """Why a measurement is UNSTABLE: drift, or throttling that the device tells; empty when it is not."""
    found = []
    drift = verdict(samples)["drift"]
    if verdict(samples)["verdict"] != "STABLE":
        found.append(f"the last third took {drift:.2f} times the first")
    if any(state.throttled for state in states):
        found.append("the device said that it throttled")
    first, last = states[0].throttle_events, states[-1].throttle_events
    if first is not None and last is not None and last > first:
        found.append(f"{last - first} throttling events")
    return found


def timed(samples: Sequence[float], states: Sequence[DeviceState]) -> dict[str, Any]:
    """What a record says of its samples, ms, in the order they were taken."""
    reasons = reasons_to_doubt(samples, states)
    return {
        "latency": summarise(samples),
        "samples_ms": [round(value, 4) for value in samples],
        "verdict": "UNSTABLE" if reasons else "STABLE",
        "reasons": reasons,
        "drift": verdict(samples)["drift"],
    }


def make_record(
    entry: Entry,
    about: dict[str, Any],
    states: Sequence[DeviceState],
    peak: PeakProbe | None,
    profile: dict[str, Any],
) -> BenchRecord:
    """The record of one artefact."""
    samples = entry.samples()
    energy_mj = entry.energy_uj / 1e3 / len(samples)
    return BenchRecord(
        **about,
        **subject(entry.model),
        **timed(samples, states),
        runtime=entry.session.runtime,
        runtime_version=entry.session.version,
        correctness=entry.correctness,
        outside_xnnpack=entry.session.outside_xnnpack,
        load_ms=entry.session.load_ms,
        first_inference_ms=entry.first_ms,
        peak_rss_bytes=entry.peak_rss_bytes,
        peak_gmacs_per_s=peak.gmacs_per_s(entry.model.precision) if peak else None,
        energy_mj=energy_mj if states[0].energy_uj else NOT_MEASURED,
        profile=profile["rows"] or None,
        profile_note=profile["note"],
    )
