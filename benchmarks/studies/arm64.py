"""`make bench-arm64`: a static int8 .tflite of every family, computed here and on an emulated arm64 core, bit by bit.

The nets are BatchNorm forms with the published initialisation and the statistics of a few inputs; needs no data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgegan.artefact import read_model
from edgegan.benchmarks.devices.emulated import EmulatedDevice
from edgegan.benchmarks.studies.exporters import write_labels
from edgegan.benchmarks.studies.family_parity import export, initial
from edgegan.benchmarks.studies.interleaved import draw_input
from edgegan.console import emit, say, table
from edgegan.data.images import to_pixels, write_image
from edgegan.models.packaging import golden_images, golden_inputs, store
from edgegan.models.spec import Spec
from edgegan.models.zoo import FAMILIES, build
from edgegan.package import is_package
from edgegan.runtime.session import Session

PICTURES = 4
SPREAD = 0.5  # standard deviation of an output in [-1, 1]


def make_int8(work: Path, family: str) -> Path:
    """The family's static int8 .tflite."""
    spec, size = FAMILIES[family].trial
    package, pictures, output = (work / family / name for name in ("package", "drawn", "export"))
    if not is_package(package):
        module = initial(build(family, spec), spec, pictures, 0)
        widen(module, spec, size)
        package.mkdir(parents=True)
        about = {"name": family, "source": {"changes": ["not trained"]}, "licence": "unstated"}
        store(package, family, spec, module, size, about, None)
    path = output / "teacher_int8.tflite"
    if path.is_file():
        return path
    calibration = None
    if family == "spade":
        calibration = write_labels(package, work / family / "labels")
    elif family != "sngan":
        calibration = pictures
        for index, image in enumerate(golden_images(PICTURES, size, 3).numpy()):
            write_image(pictures / f"{index}.png", to_pixels(image))
    failure = export(
        package, calibration, output, ["int8"], "--target", "tflite", "--int8", "static"
    )
    if failure:
        say(failure)
    return path


def widen(module: nn.Module, spec: Spec, size: tuple[int, int]) -> None:
    """Scales the last convolution so that outputs use the whole range: equal greys would prove little."""
    last = [x for x in module.modules() if isinstance(x, (nn.Conv2d, nn.ConvTranspose2d))][-1]
    with torch.no_grad():
        spread = module(golden_inputs(2, size, spec.takes)).std()
        last.weight.mul_(SPREAD / spread)


def main() -> None:
    """Exports, computes on both, prints the table; exit 3 when one output differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_arm64"))
    parser.add_argument("--core", default="cortex-a76")
    parser.add_argument("--families", nargs="*", choices=list(FAMILIES), default=list(FAMILIES))
    given = parser.parse_args()
    rows, differing = [], False
    device = EmulatedDevice(given.core)
    try:
        for family in given.families:
            path = make_int8(given.work, family)
            with Session(path, runtime="litert") as here:
                item = draw_input(here)
                expected = here.run(item)
            with Session(path, place=device) as there:
                found = there.run(item)
            model = read_model(path)
            equal = bool(np.array_equal(found, expected))
            differing |= not equal
            computed = model.computed_in
            rows.append(
                [
                    family,
                    f"{computed['int8']} int8, {computed['float']} float",
                    f"{len(np.unique(expected))}",
                    "bit-equal" if equal else f"differs by {np.abs(found - expected).max():.1e}",
                ]
            )
            say(" | ".join(rows[-1]))
    finally:
        device.close()
    emit(
        table(["family", "operations", "values in the output", f"{given.core} against here"], rows)
    )
    sys.exit(3 if differing else 0)


if __name__ == "__main__":
    main()
