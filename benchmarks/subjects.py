"""What is measured: the artefacts of a run, an export folder or a file, and the input each is checked with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgegan.artefact import (
    ModelManifest,
    check_artefact,
    exported_models,
    is_artefact,
    read_model,
)
from edgegan.benchmarks.record import Correctness
from edgegan.contracts.bounds import parse_json
from edgegan.errors import InputError, ParityError
from edgegan.files import sha256_bytes
from edgegan.run import MANIFEST
from edgegan.runtime.session import Session
from edgegan.tensors import example_input, from_artefact, to_artefact

# Other kernels sum in another order; quantised outputs may land on the neighbouring step.
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
PSNR_SLACK_DB = 10.0  # one golden picture against the mean of the export's
PSNR_CAP_DB = 90.0


def find_artefacts(
    source: Path, roles: Sequence[str] = ("teacher", "student")
) -> tuple[Path, list[tuple[Path, ModelManifest]]]:
    """The bench folder and the artefacts of a run, of an export folder or of one artefact file."""
    if is_artefact(source) or source.is_file():
        model = read_model(source)
        check_artefact(source, model)
        return source.parent / "bench", [(source, model)]
    export = source / "export" if (source / MANIFEST).is_file() else source
    found = [(path, model) for path, model in exported_models(export) if model.role in roles]
    if not found:
        raise InputError(
            f"{source} holds no artefacts of {' or '.join(roles)}; make some with: edgegan export"
        )
    return source / "bench", found


def check_input(path: Path, model: ModelManifest) -> np.ndarray:
    """One item (1, ...) as the artefact takes it: the package's golden input where sizes agree, else a seeded one."""
    golden = golden_tensor(path, "input") if model.role == "student" else None
    if golden is not None and golden.shape[2:] in ((), model.size):
        return to_artefact(golden[:1], model.inputs[0])
    return example_input(model)


def golden_tensor(path: Path, name: str) -> np.ndarray | None:
    """(N, C, H, W) float32 `input` or `output` of the student package beside the export folder, or None.

    Read without torch and the safetensors package: 8 bytes length, a JSON header, raw little-endian tensors.
    """
    file = path.parent.parent / "student" / "golden.safetensors"
    if not file.is_file():
        return None
    data = file.read_bytes()
    try:
        (length,) = struct.unpack("<Q", data[:8])
        about = parse_json(data[8 : 8 + length]).get(name)
        if about is None or about["dtype"] != "F32":
            return None
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        return np.frombuffer(memoryview(data)[begin:end], dtype="<f4").reshape(about["shape"])
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{file} is not a readable safetensors file ({error}); compress again with --overwrite"
        ) from error


def golden_output(path: Path, model: ModelManifest, item: np.ndarray) -> np.ndarray | None:
    """PyTorch's output (1, C, H, W) in [-1, 1] for `item`, when `item` is the package's golden input."""
    given, expected = golden_tensor(path, "input"), golden_tensor(path, "output")
    if model.role != "student" or given is None or expected is None:
        return None
    first = to_artefact(given[:1], model.inputs[0])
    return expected[:1] if first.shape == item.shape and np.array_equal(first, item) else None


def check_on_host(
    path: Path, model: ModelManifest, item: np.ndarray, session: Session
) -> Correctness:
    """The output here against PyTorch's golden output; without one, against a second worker process.

    int8 may be as far from PyTorch as the artefact's own parity says, within 10 dB; raises ParityError.
    """
    output = session.run(item)
    expected = golden_output(path, model, item)
    if expected is None:
        reference, called = reference_output(path, item, session.runtime)
        return check_output(
            model.file,
            "this machine",
            output,
            reference,
            f"a second worker, {called}",
            model.precision,
        )
    difference = from_artefact(output, model.outputs[0]).astype(np.float64) - expected
    mean_square = float(np.mean(difference**2))
    psnr_db = 10 * np.log10(4 / mean_square) if mean_square else np.inf
    limit_db = min(model.parity.psnr_db, PSNR_CAP_DB) - PSNR_SLACK_DB
    if not psnr_db >= limit_db:
        raise ParityError(
            f"{model.file}: {psnr_db:.1f} dB to PyTorch's golden output, its export proved "
            f"{model.parity.psnr_db:.1f} dB; nothing was timed: export it again with --overwrite"
        )
    return Correctness(
        reference="PyTorch's golden output",
        max_abs=float(np.abs(difference).max()),
        bit_equal=bool(not difference.any()),
        sha256=sha256_bytes(output.tobytes()),
    )


def reference_output(path: Path, item: np.ndarray, runtime: str) -> tuple[np.ndarray, str]:
    """The artefact's output in the same runtime in a process of its own here, and what to call it."""
    with Session(path, runtime=runtime) as session:
        return session.run(item), f"{runtime} {session.version} on this machine"


def check_output(
    name: str, where: str, output: np.ndarray, reference: np.ndarray, called: str, precision: str
) -> Correctness:
    """The comparison; raises ParityError when the device computes something else."""
    if output.shape != reference.shape:
        raise ParityError(
            f"{name} on {where}: the output has shape {output.shape}, {called} gives {reference.shape}; "
            "nothing was timed: try another version of the runtime there"
        )
    found = Correctness(
        reference=called,
        max_abs=float(np.abs(output - reference).max()),
        bit_equal=bool(np.array_equal(output, reference)),
        sha256=sha256_bytes(np.ascontiguousarray(output).tobytes()),
    )
    if not found.max_abs <= TOLERANCE[precision]:
        raise ParityError(
            f"{name} on {where}: largest difference to {called} is {found.max_abs:.2e}, the limit is "
            f"{TOLERANCE[precision]:g}; nothing was timed: try another version of the runtime there"
        )
    return found
