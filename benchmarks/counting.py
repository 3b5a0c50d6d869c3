"""Instruction counts of one inference on an emulated arm64 core, and what kinds of instructions they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.devices.interface import WorkerDevice
from edgegan.benchmarks.record import CountRecord, subject
from edgegan.benchmarks.subjects import check_input, check_output, reference_output
from edgegan.console import progress
from edgegan.errors import DeviceError
from edgegan.run import command_line, environment, now
from edgegan.runtime.session import Session

COUNTED_RUNS = 2  # the first inference does a little more; the last is reported

# (mask, value) of A64 encodings: SDOT and UDOT, vector and by element (Arm ARM C7, Advanced SIMD three same extra
# and vector x indexed element), USDOT and SUDOT likewise.
DOT_PRODUCT = (
    (0x9FE0FC00, 0x0E809400),
    (0x9FC0F400, 0x0F80E000),
    (0xBFE0FC00, 0x0E809C00),
    (0xBF40F400, 0x0F00F000),
)
# FMLA, FMLS: vector and by element, single precision; FMADD family, scalar.
FLOAT_MULTIPLY_ADD = (
    (0xBF60FC00, 0x0E20CC00),
    (0xBF80B400, 0x0F801000),
    (0xFF000000, 0x1F000000),
)


@dataclass(frozen=True)
class Count:
    """Guest instructions of one inference by LiteRT or ONNX Runtime on a named core, one thread."""

    instructions: int
    shares: dict[str, float]
    first_instructions: int


def read_totals(path: Path) -> list[int]:
    """The count of every marked region, in order."""
    with path.open(encoding="ascii") as file:
        return [int(line.split()[2]) for line in file if line.startswith("#region")]


def read_mix(path: Path) -> dict[str, int]:
    """Instructions of the last region by kind: dot product, float multiply-add, other vector, load or store, ..."""
    opcodes: list[np.ndarray] = []
    runs: list[np.ndarray] = []
    with path.open(encoding="ascii") as file:
        for line in file:
            if line.startswith("#region"):
                opcodes, runs = [], []
                continue
            times, text = line.split()
            block = np.frombuffer(bytes.fromhex(text), dtype=">u4").astype(np.uint32)
            opcodes.append(block)
            runs.append(np.full(len(block), int(times), dtype=np.int64))
    return classify(np.concatenate(opcodes), np.concatenate(runs)) if opcodes else {}


def classify(opcodes: np.ndarray, runs: np.ndarray) -> dict[str, int]:
    """Sums `runs` by the kind of each A64 opcode; the coarse kinds are the op0 field, bits 25 to 28."""

    def any_of(patterns: tuple[tuple[int, int], ...]) -> np.ndarray:
        hits = [(opcodes & np.uint32(mask)) == np.uint32(value) for mask, value in patterns]
        return np.logical_or.reduce(hits)

    op0 = (opcodes >> np.uint32(25)) & np.uint32(15)
    tests: dict[str, Callable[[], np.ndarray]] = {
        "dot product": lambda: any_of(DOT_PRODUCT),
        "float multiply-add": lambda: any_of(FLOAT_MULTIPLY_ADD),
        "load or store": lambda: (op0 & 5) == 4,
        "other vector": lambda: (op0 & 7) == 7,
        "branch": lambda: (op0 & 14) == 10,
        "integer": lambda: np.ones(len(opcodes), dtype=bool),
    }
    left = np.ones(len(opcodes), dtype=bool)
    found = {}
    for name, test in tests.items():
        chosen = left & test()
        found[name] = int(runs[chosen].sum())
        left &= ~chosen
    return found


def count_inference(session: Session, device: WorkerDevice) -> Count:
    """Counts one inference of the item that the session ran last; raises DeviceError without the plugin's answer."""
    assert device.counts is not None, f"{device.name} keeps time"
    session.count(COUNTED_RUNS)
    totals = read_totals(device.counts)
    if len(totals) < COUNTED_RUNS:
        raise DeviceError(
            f"{device.name}: the counting plugin wrote {len(totals)} of {COUNTED_RUNS} counts; "
            "set it up again with: edgegan devices setup-arm64 --overwrite"
        )
    mix = read_mix(device.counts)
    total = totals[-1]
    shares = {kind: value / total for kind, value in mix.items()}
    return Count(total, shares, totals[-COUNTED_RUNS])


def count_all(
    device: WorkerDevice, artefacts: Sequence[tuple[Path, ModelManifest]], core: str
) -> list[CountRecord]:
    """Correctness, then the instructions of one inference, of every artefact in turn."""
    state = device.probe().as_json()
    records = []
    with progress(f"emulate {core}", len(artefacts)) as bar:
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
                    core=core,
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
