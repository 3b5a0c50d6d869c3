"""Which public architectures come in, and what becomes of them: `make bench-generators`, about half an hour.

Each of `public_generators` is imported as a generator of one's own, narrowed by half, its free channels permuted, and
exported to ONNX and TFLite in fp32, in processes of its own with a limit. Needs the packages, which the Makefile
installs into a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from edgegan.artefact import read_model
from edgegan.benchmarks.studies.public_generators import PUBLIC
from edgegan.channels.graph import trace_channels
from edgegan.channels.importance import permute
from edgegan.channels.slicing import extract
from edgegan.console import emit, progress, table
from edgegan.errors import EdgeGANError
from edgegan.files import write_json
from edgegan.models.custom import allow_generator, describe_custom, run_seeded
from edgegan.models.ends import Ends, parse_ranges
from edgegan.models.listing import free_share

PLACE = "edgegan.benchmarks.studies.public_generators"
LIMIT_S = 420
TARGETS = {"onnx": "teacher_fp32.onnx", "tflite": "teacher_fp32.tflite"}
EQUAL = 1e-4
RANGE = "0,1"  # of most of them


def examine(name: str) -> dict[str, Any]:
    """Import, narrowing and permutation of one architecture, in this process."""
    began = time.monotonic()
    shape = PUBLIC[name].shape
    allow_generator(f"{PLACE}:{name}")
    try:
        spec, module = describe_custom(f"{PLACE}:{name}", shape, Ends(**parse_ranges(RANGE)))
    except EdgeGANError as error:
        return {"refused": str(error)}
    seconds = time.monotonic() - began
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    graph = trace_channels(module, x)
    found: dict[str, Any] = {
        "seconds": seconds,
        "enlarges": str(spec.ratio),
        "free_share": free_share(module, graph),
        "held": len(graph.held),
    }
    expected = run_seeded(module, x)
    if graph.free():
        plan = {group.name: max(1, group.size // 2) for group in graph.free()}
        found["narrow"] = run_seeded(extract(module, graph, plan), x).shape == expected.shape
        chance = torch.Generator().manual_seed(2)
        orders = {each.name: torch.randperm(each.size, generator=chance) for each in graph.free()}
        # in double precision: with random weights some networks make 1e-7 of their input to 0.1 of their output
        module, x = module.double(), x.double()
        expected = run_seeded(module, x)
        permute(module, graph, orders)
        found["permuted"] = relative(run_seeded(module, x), expected)
    return found


def relative(made: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((made - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def run_all(name: str, command: list[str], folder: Path, *, exports: bool = True) -> dict[str, Any]:
    """One architecture through the process that examines it, and through import and both exports."""
    found: dict[str, Any] = {"name": name}
    done = limited([sys.executable, "-m", "edgegan.benchmarks.studies.generators", "--one", name])
    try:
        found |= json.loads(done.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        found["refused"] = f"failed: {done[-300:]}"
    if "refused" in found or not exports:
        return found
    own, package = ["--generator", f"{PLACE}:{name}"], folder / name
    shape = "x".join(map(str, PUBLIC[name].shape))
    said = limited(
        [*command, "import", *own, "--input-shape", shape, "--range", RANGE, "-o", str(package)]
    )
    for target, file in TARGETS.items():
        out = folder / f"{name}_{target}"
        said = limited(
            [
                *(*command, "export", str(package), "-o", str(out), "--target", target),
                *("--precision", "fp32", *own),
            ]
        )
        try:
            model = read_model(out / file)
        except EdgeGANError:
            found[target] = said.strip()[-400:]
            continue
        found[target] = model.parity.max_abs
    return found


def limited(command: list[str]) -> str:
    """What a command says, within the limit."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return f"not done in {LIMIT_S} s"
    return done.stdout


def cell(value: Any) -> str:
    """A figure of a table; the reason of a failure is below it."""
    return f"{value:.0e}" if isinstance(value, float) else "-" if value is None else "no"


def main() -> None:
    """Prints the table, the counts and every refusal; writes all of it to --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="*", default=list(PUBLIC), help="architectures to try")
    parser.add_argument("--import-only", action="store_true", help="leave the exports out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.one:
        emit(json.dumps(examine(options.one)))
        return
    command = [sys.executable, "-m", "edgegan"]
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.jobs) as pool,
        progress("architectures", len(options.only)) as bar,
    ):
        rows = []
        for row in pool.map(
            lambda name: run_all(name, command, Path(folder), exports=not options.import_only),
            options.only,
        ):
            rows.append(row)
            bar.step(len(rows), row["name"])
            if options.json:
                write_json(options.json, rows)
    show(rows, exports=not options.import_only)


def show(rows: list[dict[str, Any]], *, exports: bool) -> None:
    """The table, what it comes to, and the reason of every failure."""
    emit(
        table(
            ["architecture", "enlarges", "import s", "free", "permuted", "onnx", "tflite"],
            [
                [
                    row["name"],
                    row.get("enlarges", "refused"),
                    f"{row['seconds']:.1f}" if "seconds" in row else "-",
                    f"{row['free_share']:.2f}" if "free_share" in row else "-",
                    cell(row.get("permuted")),
                    cell(row.get("onnx")),
                    cell(row.get("tflite")),
                ]
                for row in rows
            ],
        )
    )
    imported = [row for row in rows if "refused" not in row]
    exported = [
        row
        for row in imported
        if all(isinstance(row.get(each), float) and row[each] <= EQUAL for each in TARGETS)
    ]
    narrowed = [row for row in imported if row.get("narrow")]
    wrong = [row["name"] for row in imported if row.get("permuted", 0.0) > 1e-3]
    out = f"{len(exported)} exported to both within {EQUAL:g}, " if exports else ""
    emit(
        f"{len(rows)} architectures: {len(imported)} imported, {out}"
        f"{len(narrowed)} narrowed, wrong: {', '.join(wrong) or 'none'}"
    )
    for row in rows:
        for key in ("refused", *TARGETS):
            if isinstance(row.get(key), str):
                emit(f"{row['name']} {key}: {row[key]}")


if __name__ == "__main__":
    main()
