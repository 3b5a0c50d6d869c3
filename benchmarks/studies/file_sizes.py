"""Fits the part of an int8 .tflite that no width changes: `make bench-file-sizes`, about five minutes.

Exports small generators of several shapes, takes what their weights occupy from each file's size, and fits the rest to
the number of layers of each kind. Prints the tables of edgegan/compress/slimming/cost.py and the largest error. To be
run again when the exporter changes what it writes around the weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from edgegan.channels.graph import trace_channels
from edgegan.compress.costs.counted import LayerTable, overhead_kinds, tabulate
from edgegan.compress.slimming.deployed import bake, scheme_of, simulate
from edgegan.console import emit, say
from edgegan.data.images import write_image
from edgegan.data.procedural import draw_pair
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.packaging import card, golden_inputs
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spec import Spec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.zoo import build, count_parameters, make_golden
from edgegan.package import write_package
from edgegan.recipe.student_section import Norm

SIDE = 64
TITLES: dict[Norm, str] = {"instance_affine": "DYNAMIC_OVERHEAD", "batch": "STATIC_OVERHEAD"}


def shapes(norm: Norm) -> list[tuple[str, Spec]]:
    """Families and specs that differ in what they are made of."""
    found: list[tuple[str, Spec]] = []
    for blocks in (2, 5, 8):
        wide = CartoonSpec(inner=(256,) * blocks)
        found.append(("cartoon", wide.scaled(0.125, 8, "separable", norm)))
        found.append(
            ("resnet", ResnetSpec.from_ngf(8 + blocks, blocks, norm=norm, block="separable"))
        )
    found.append(("cartoon", CartoonSpec(inner=(256,) * 4).scaled(0.25, 8, "dense", norm)))
    found.append(("resnet", ResnetSpec.from_ngf(16, 3, norm=norm)))
    small = ResnetSpec.from_ngf(8, 1, norm=norm, block="separable")
    found += [("resnet", small), ("resnet", small.model_copy(update={"stem": 6}))]
    found.append(("transformer_net", TransformerSpec().scaled(0.25, 8, "dense", norm)))
    if norm == "batch":
        sngan = SnganSpec()
        found += [("sngan", sngan.scaled(scale, 8, "dense", norm)) for scale in (0.1, 0.2)]
        found.append(("sngan", SnganSpec(stem=64, width=(64, 48, 32, 16), inner=(48, 32, 32, 16))))
    return found


def file_size(family: str, spec: Spec, folder: Path, pictures: Path) -> tuple[int, LayerTable]:
    """Bytes of the int8 .tflite of a generator with random weights, and its layer table."""
    torch.manual_seed(0)
    module = build(family, spec).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
        for name, parameter in module.named_parameters():
            if name.startswith("head"):
                parameter.mul_(0.01)
    takes, gives = (spec.takes, spec.gives)
    example = golden_inputs(1, (SIDE, SIDE), takes)
    bake(simulate(module, example, scheme_of(module), []))  # as slimming leaves its students
    parameters = count_parameters(module)
    config: dict[str, object] = {
        "family": family,
        "spec": spec.model_dump(mode="json"),
        "size": tuple(module(example).shape[2:]),
    }
    config |= {"input": takes, "output": gives, "parameters": parameters}
    package = folder / "package"
    package.mkdir()
    golden = make_golden(module, example)
    write_package(package, config, module.state_dict(), golden, card("x", family, 1, "none", []))
    command = [sys.executable, "-m", "edgegan", "export", package, "-o", folder / "export"]
    command += ["--target", "tflite", "--precision", "int8"]
    command += [] if family == "sngan" else ["--calibration", pictures]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    (path,) = (folder / "export").glob("*_int8.tflite")
    return path.stat().st_size, tabulate(module, example, trace_channels(module, example))


def fit(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least squares without negative numbers: kinds that would be negative are left out one after another."""
    left = list(range(matrix.shape[1]))
    while True:
        found = np.linalg.lstsq(matrix[:, left], values, rcond=None)[0]
        if found.min() >= 0:
            whole = np.zeros(matrix.shape[1])
            whole[left] = found
            return whole
        del left[int(found.argmin())]


def main() -> None:
    """Fits and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--norms", nargs="*", choices=list(TITLES), default=list(TITLES))
    for norm in parser.parse_args().norms:
        title = TITLES[norm]
        rows, rest, sizes = [], [], []
        for family, spec in shapes(norm):
            with tempfile.TemporaryDirectory() as temporary:
                pictures = Path(temporary) / "pictures"
                pictures.mkdir()
                for seed in range(4):
                    write_image(pictures / f"{seed}.png", draw_pair(SIDE, seed)[1])
                size, table = file_size(family, spec, Path(temporary), pictures)
            counts: Counter[str] = Counter({"file": 1})
            for layer in table.layers:
                counts.update(overhead_kinds(layer))
            known = sum(table.overhead[kind] * n for kind, n in counts.items())
            rest.append(size - (table.bytes(table.full) - known))
            rows.append([counts[kind] for kind in table.overhead])
            sizes.append(size)
            say(f"{family} {norm}: {size} bytes, {rest[-1]:.0f} beside the weights; {dict(counts)}")
        matrix = np.array(rows, dtype=np.float64)
        fitted = fit(matrix, np.array(rest))
        worst = np.abs(matrix @ fitted - rest) / np.array(sizes)
        values = dict(zip(table.overhead, fitted.round().tolist(), strict=True))
        emit(f"{title} = {values}  # largest error {worst.max():.2%}")


if __name__ == "__main__":
    main()
