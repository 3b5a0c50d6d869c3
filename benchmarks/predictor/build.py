"""Builds a predictor on a device in one batch: units of every layer, whole networks, a sentinel against drift."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgegan.benchmarks.counting import read_totals
from edgegan.benchmarks.devices.interface import Device
from edgegan.benchmarks.predictor.family import Family, learn_family
from edgegan.benchmarks.predictor.layers import resize
from edgegan.benchmarks.predictor.tables import (
    Predictor,
    Slots,
    Table,
    Validation,
    plan_tables,
)
from edgegan.benchmarks.tflite_graph import pack
from edgegan.console import progress, say
from edgegan.errors import ConfigError
from edgegan.run import command_line, now
from edgegan.runtime.session import Session, our_own

BATCH = 20
PASSES = 3
TIMED_RUNS = 15
MIN_SAMPLES = 6
NEAR_BEST = 1.05
VALIDATION_NETWORKS = 10


@dataclass(frozen=True)
class Sample:
    """An artefact of the family and the widths it was made with."""

    path: Path
    widths: tuple[int, ...]


class Bench:
    """Costs of many small models on one device, in one worker: milliseconds, or instructions when it is emulated."""

    def __init__(self, device: Device, sentinel: Path, threads: int) -> None:
        worker = device.worker()
        if worker is None:
            raise ConfigError(
                f"layers cannot be measured on {device.name}: a predictor needs a device that runs Python"
            )
        self.device, self.threads = worker, threads
        self.counting = worker.counts is not None
        own = our_own(sentinel)
        self.session = Session(sentinel, runtime="litert", threads=threads, place=worker, how=own)

    def costs(self, models: Sequence[Path]) -> tuple[float, list[float]]:
        """The sentinel's cost, then that of each model."""
        paths = [self.device.push(path) for path in [self.session.model, *models]]
        done = self.counted()
        answer = self.session.ask(
            {
                "op": "batch",
                "models": paths,
                "runs": 1 if self.counting else TIMED_RUNS,
                "count": self.counting,
                "runtime": "litert",
                "threads": self.threads,
            }
        )
        if self.counting:
            sentinel, *counts = [float(total) for total in self.totals()[done:]]
            return sentinel, counts
        # The least of a block: other work on the machine only adds, and does so unevenly over short blocks.
        found = [min(samples) for samples in answer["samples_ms"]]
        return found[0], found[1:]

    def totals(self) -> list[int]:
        """Counts so far."""
        file = self.device.counts
        return read_totals(file) if file is not None and file.is_file() else []

    def counted(self) -> int:
        """How many counts there are so far; 0 where time is measured."""
        return len(self.totals()) if self.counting else 0


def build_predictor(
    samples: Sequence[Sample],
    device: Device,
    *,
    unseen: Sequence[Sample] = (),
    threads: int = 1,
) -> Predictor:
    """Tables from the layers of `samples` (int8 .tflite of one family, widths drawn at random), validated on `unseen`.

    Raises ConfigError for too few samples and for a device that runs no worker. The caller decides with
    Predictor.check whether the error is low enough.
    """
    if len(samples) < MIN_SAMPLES:
        raise ConfigError(f"a predictor needs at least {MIN_SAMPLES} samples, not {len(samples)}")
    family = learn_family([s.path for s in samples], [s.widths for s in samples])
    plans = plan_tables(family)
    whole = [sample.path for sample in [*samples, *unseen]]
    with tempfile.TemporaryDirectory(prefix="edgegan-units-") as folder:
        units = write_units(family, plans, Path(folder))
        jobs = [*units.values(), *whole]
        bench = Bench(device, samples[0].path, threads)
        try:
            found, drift = run_jobs(bench, jobs)
            version = bench.session.version
        finally:
            bench.session.close()
    tables = {
        key: Table(
            signature=plan["pattern"].signature,
            columns=plan["pattern"].columns,
            axes=plan["axes"],
            costs=tuple(found[units[key, point]] for point in plan["points"]),
        )
        for key, plan in plans.items()
    }
    slots = tuple(Slots(table=slot.pattern.key(), rules=slot.rules) for slot in family.slots)
    raw = Predictor(
        unit="instructions" if bench.counting else "ms",
        device=device.name,
        runtime_version=version,
        threads=threads,
        tables=tables,
        slots=slots,
        offset=0.0,
        scale=1.0,
        drift=drift,
        built=now(),
        command=command_line(),
    )
    sums = [raw.predict(raw.layers_of(sample.path)) for sample in samples]
    offset, scale = fit_scale(sums, [found[sample.path] for sample in samples])
    fitted = raw.model_copy(update={"offset": offset, "scale": scale})
    if not unseen:
        return fitted
    validation = validate(fitted, unseen, [found[sample.path] for sample in unseen])
    say(
        f"predictor for {device.name}: {len(units)} unit networks; on {validation.networks} unseen networks the median "
        f"error is {validation.median_error:.1%}, the largest {validation.max_error:.1%}"
    )
    return fitted.model_copy(update={"validation": validation})


def write_units(
    family: Family, plans: dict[str, dict[str, Any]], folder: Path
) -> dict[tuple[str, tuple[int, ...]], Path]:
    """One .tflite for each grid point of each table."""
    units = {}
    for key, plan in plans.items():
        for point in plan["points"]:
            part = copy.deepcopy(family.examples[key].model)
            resize(part, plan["pattern"].numbers(point))
            path = folder / f"{key}_{'_'.join(map(str, point))}.tflite"
            path.write_bytes(pack(part))
            units[key, point] = path
    return units


def run_jobs(bench: Bench, jobs: Sequence[Path]) -> tuple[dict[Path, float], float]:
    """The cost of every job, and the drift that was corrected: counts once, times in three passes of changing order.

    Times are divided by how much slower the sentinel of their batch was than the fastest sentinel. Of the passes those
    with a sentinel near the job's best one count, and of these the least: a disturbed sentinel must not make its batch
    look fast.
    """
    taken: dict[Path, list[tuple[float, float]]] = {}
    passes = 1 if bench.counting else PASSES
    batches = [list(jobs[start : start + BATCH]) for start in range(0, len(jobs), BATCH)]
    with progress(f"predictor {bench.device.name}", passes * len(batches)) as bar:
        for number in range(passes):
            order = batches if number % 2 == 0 else batches[::-1]
            for index, batch in enumerate(order):
                sentinel, costs = bench.costs(batch)
                for path, cost in zip(batch, costs, strict=True):
                    taken.setdefault(path, []).append((sentinel, cost))
                bar.step(number * len(batches) + index + 1)
    if bench.counting:
        return {path: tries[0][1] for path, tries in taken.items()}, 1.0
    fastest = {path: min(sentinel for sentinel, _ in tries) for path, tries in taken.items()}
    reference = min(fastest.values())
    found = {
        path: min(
            cost * reference / sentinel
            for sentinel, cost in tries
            if sentinel <= NEAR_BEST * fastest[path]
        )
        for path, tries in taken.items()
    }
    return found, max(fastest.values()) / reference


def fit_scale(sums: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """Offset and scale of the least squared relative error."""
    y = np.asarray(costs, dtype=np.float64)
    x = np.stack([np.ones(len(sums)), np.asarray(sums, dtype=np.float64)], axis=1) / y[:, None]
    (offset, scale), *_ = np.linalg.lstsq(x, np.ones(len(y)), rcond=None)
    return float(offset), float(scale)


def validate(predictor: Predictor, unseen: Sequence[Sample], costs: Sequence[float]) -> Validation:
    """Errors on networks that were not used."""
    errors = [
        abs(predictor.predict(predictor.layers_of(sample.path)) / cost - 1)
        for sample, cost in zip(unseen, costs, strict=True)
    ]
    return Validation(
        networks=len(errors), median_error=float(np.median(errors)), max_error=float(max(errors))
    )


def emulated_counts(device: Device, paths: Sequence[Path]) -> list[float]:
    """Instructions of one inference of each .tflite, in one emulated process."""
    bench = Bench(device, paths[0], 1)
    try:
        found, _ = run_jobs(bench, paths)
    finally:
        bench.session.close()
    return [found[path] for path in paths]
