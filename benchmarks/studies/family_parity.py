"""Parity of every family, target and precision on real inputs: `make bench-parity`, or
`python -m edgegan.benchmarks.studies.family_parity`.

Real weights where there are any ($EDGEGAN_DATA); else the published initialisation, and for nets that normalise each
picture a short training, since rounding in a random deep net of that kind grows as it does in no trained one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.artefact import exported_models
from edgegan.console import say, table
from edgegan.data.images import center_crop, list_images, read_image, to_float
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.packaging import Stated, golden_inputs, import_to_package, store
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build
from edgegan.package import is_package

LIMITS_DB = {"fp32": 110.0, "fp16": 80.0}
WEIGHTS = {
    "cartoongan hayao": "cartoongan_hayao_fp16.pth",
    "fast style candy": "fast_neural_style_candy_fp16.pth",
    "fast style mosaic": "fast_neural_style_mosaic_fp16.pth",
}
SPECS: dict[str, tuple[str, Spec, tuple[int, int]]] = {
    "resnet 9 blocks ngf 32": ("resnet", ResnetSpec.from_ngf(32), (256, 256)),
    "mobile resnet ngf 16": ("resnet", ResnetSpec.from_ngf(16, block="separable"), (256, 256)),
    "mobile resnet ngf 16 batch": (
        "resnet",
        ResnetSpec.from_ngf(16, block="separable", norm="batch"),
        (256, 256),
    ),
    "unet 256 ngf 16": ("unet", UnetSpec.from_ngf(16), (256, 256)),
    "spade ngf 8 camvid": (
        "spade",
        SpadeSpec.from_ngf(8, classes=32, instance_edge=False, upsampling="normal"),
        (192, 256),
    ),
    "mobile spade ngf 8 camvid": (
        "spade",
        SpadeSpec.from_ngf(8, classes=32, upsampling="normal", block="separable"),
        (192, 256),
    ),
    "animegan": ("animegan", AnimeSpec(), (256, 256)),
    "sngan": ("sngan", SnganSpec(), (32, 32)),
}
INITIAL_DEVIATION = 0.02
TRAINING_SIZE = (64, 64)


def prepare(
    work: Path, data: Path, only: str, steps: int
) -> Iterator[tuple[str, Path, Path | None]]:
    """(name, package, folder of real inputs) of every net, made once."""
    photos = data / "images" / "bsds500" / "val" / "photo"
    for name, file in WEIGHTS.items():
        package = work / "packages" / name.replace(" ", "_")
        if only in name:
            if not is_package(package):
                import_to_package(data / "weights" / file, package, Stated(name=name))
            yield name, package, photos
    for name, (family, spec, size) in SPECS.items():
        package = work / "packages" / name.replace(" ", "_")
        if only not in name:
            continue
        if not is_package(package):
            module = initial(build(family, spec), spec, photos, steps)
            package.mkdir(parents=True)
            about = {"name": name, "source": {"changes": ["not trained"]}, "licence": "unstated"}
            store(package, family, spec, module, size, about, None)
        inputs = {"label_map": data / "images" / "camvid256" / "val" / "label", "noise": None}
        yield name, package, inputs.get(spec.takes.kind, photos)


def initial(module: nn.Module, spec: Spec, photos: Path, steps: int) -> nn.Module:
    """Weights of the published initialisation; norms that see a few inputs, or a short training."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
    takes = spec.takes
    norms = (nn.InstanceNorm2d, nn.GroupNorm)
    if takes.kind == "image" and any(isinstance(layer, norms) for layer in module.modules()):
        train(module, photos, steps)
    else:
        size = spec.size or ((128, 256) if takes.kind == "label_map" else (256, 256))
        with torch.no_grad():
            for _ in range(4):
                module.train()(golden_inputs(2, size, takes))
    return module.eval()


def train(module: nn.Module, photos: Path, steps: int) -> None:
    """L1 to a posterised, darker copy of small photographs."""
    files = list_images(photos)[:32]
    x = torch.from_numpy(
        np.stack([to_float(center_crop(read_image(path), TRAINING_SIZE, 80)) for path in files])
    )
    y = torch.round(x * 2) / 2 * 0.8 - 0.1
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    module.train()
    for step in range(steps):
        chosen = torch.arange(step * 4, step * 4 + 4) % len(x)
        loss = (module(x[chosen]) - y[chosen]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def export(
    package: Path, inputs: Path | None, output: Path, precisions: list[str], *more: str
) -> str:
    """Runs `edgegan export`; returns what it said when a gate failed, else nothing."""
    command = [sys.executable, "-m", "edgegan", "export", str(package), "-o", str(output), *more]
    command += [] if inputs is None else ["--calibration", str(inputs)]
    for precision in precisions:
        command += ["--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def main() -> None:
    """Exports everything and prints the table; exit 3 when a figure is below its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/parity"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGEGAN_DATA", "data")))
    parser.add_argument("--only", default="", help="nets whose name holds this")
    parser.add_argument("--precision", action="append", help="default fp32 and fp16")
    parser.add_argument("--steps", type=int, default=150, help="of the short training")
    arguments = parser.parse_args()
    precisions = arguments.precision or list(LIMITS_DB)
    rows: list[list[str]] = []
    records: list[dict[str, Any]] = []
    for name, package, inputs in prepare(
        arguments.work, arguments.data, arguments.only, arguments.steps
    ):
        say(name)
        output = arguments.work / "exports" / package.name
        failure = export(package, inputs, output, precisions)
        if failure:
            say(f"  {failure}")
        for path, model in exported_models(output):
            limit = LIMITS_DB.get(model.precision)
            fails = limit is not None and model.parity.psnr_db < limit
            records.append({"net": name, "file": path.name, "fails": fails})
            rows.append(
                [
                    name,
                    model.target,
                    model.precision,
                    model.quantization,
                    str(model.parity.inputs),
                    f"{model.parity.psnr_db:.1f}",
                    f"{model.parity.max_abs:.1e}",
                    "" if limit is None else f"{limit:g}",
                    "FAILS" if fails else "",
                ]
            )
        if failure:
            records.append({"net": name, "file": "", "fails": True})
    head = ["net", "target", "precision", "held as", "inputs", "PSNR dB", "max abs", "limit dB", ""]
    print(table(head, rows))
    (arguments.work / "parity.json").write_text(json.dumps(records, indent=2))
    sys.exit(3 if any(record["fails"] for record in records) else 0)


if __name__ == "__main__":
    main()
