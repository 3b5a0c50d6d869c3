"""`make bench-exporters`: the same weights by every exporter, timed in one interleaved run, each in its own process.

Ours; plain litert-torch with the smallest change that makes it convert, and its quantizer's default recipe; the
tensorflow.lite converter on a hand mirror (with --tensorflow PYTHON, an interpreter that has tensorflow); ONNX Runtime
from the raw torch.onnx file. Beside each row stands the convolution floor: its multiply-adds at the rate of a dense 3x3
convolution measured in the same rounds. Conversions are kept in --work, so that a second run only times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from edgegan.benchmarks.studies.interleaved import pooled, time_rounds
from edgegan.benchmarks.studies.one_op import build as build_one
from edgegan.benchmarks.studies.one_op import convolution
from edgegan.benchmarks.timing import summarise
from edgegan.console import say, table
from edgegan.data.images import center_crop, list_images, read_image, to_float
from edgegan.errors import EdgeGANError
from edgegan.files import write_json
from edgegan.models.packaging import GOLDEN_COUNT, card, golden_images, import_to_package
from edgegan.models.zoo import build, count_parameters, describe_io, make_golden, parse_spec
from edgegan.package import NoiseIO, is_package, read_config, read_tensors, write_package
from edgegan.run import environment

HERE = Path(__file__).resolve().parent
FLOOR_SIDE, FLOOR_CHANNELS = 64, 256
FLOOR_MACS = FLOOR_SIDE**2 * 9 * FLOOR_CHANNELS**2
CALIBRATION_IMAGES = 8


def mobile(ngf: int, norm: str) -> dict[str, Any]:
    """GAN Compression's mobile ResNet of nine blocks."""
    return {
        "stem": ngf,
        "down": 2 * ngf,
        "trunk": 4 * ngf,
        "inner": [4 * ngf] * 9,
        "up": [2 * ngf, ngf],
        "block": "separable",
        "norm": norm,
    }


STUDENT = {
    "stem": 24,
    "down1": [48],
    "down2": [128],
    "inner": [128] * 8,
    "up1": [48],
    "up2": [24],
    "block": "separable",
    "norm": "instance_affine",
    "norm_eps": 1e-5,
}
ROWS: dict[str, tuple[str, dict[str, Any] | None, tuple[int, int]]] = {
    "cartoongan_teacher": ("cartoon", None, (256, 256)),
    "cartoongan_student": ("cartoon", STUDENT, (256, 256)),
    "mobile_resnet_16": ("resnet", mobile(16, "instance"), (256, 256)),
    "mobile_resnet_16_batch": ("resnet", mobile(16, "batch"), (256, 256)),
    "mobile_resnet_24": ("resnet", mobile(24, "instance"), (256, 256)),
    "mobile_resnet_24_batch": ("resnet", mobile(24, "batch"), (256, 256)),
    "spade": (
        "spade",
        {
            "trunk": 64,
            "up": [32, 16, 8, 4],
            "inner": [64, 64, 64, 32, 16, 8, 4],
            "hidden": [32] * 7,
            "block": "separable",
            "norm": "batch",
        },
        (256, 512),
    ),
    "sngan": ("sngan", {}, (32, 32)),
}


def make_package(folder: Path, name: str, weights: Path | None) -> None:
    """The row's package: imported weights for a teacher, else seeded ones with norm statistics from pictures."""
    family, spec, size = ROWS[name]
    if spec is None:
        if weights is None:
            raise EdgeGANError("needs --weights, a CartoonGAN checkpoint")
        import_to_package(weights, folder, size=size)
        return
    torch.manual_seed(0)
    parsed = parse_spec(family, spec)
    module = build(family, parsed)
    takes, gives = describe_io(parsed)
    if isinstance(takes, NoiseIO):
        inputs = torch.randn(GOLDEN_COUNT, takes.dimension)
    elif takes.kind == "label_map":
        classes = takes.channels
        labels = (golden_images(GOLDEN_COUNT, size, 1)[:, 0] + 1) * (classes - 1) / 2
        inputs = torch.nn.functional.one_hot(labels.round().long(), classes).permute(0, 3, 1, 2)
        inputs = inputs.float()
    else:
        inputs = golden_images(GOLDEN_COUNT, size, takes.channels)
    with torch.no_grad():
        module.train()
        for _ in range(10):
            module(inputs)
    module.eval()
    config: dict[str, Any] = {
        "family": family,
        "spec": parsed.model_dump(mode="json"),
        "name": name,
        "role": "student",
        "size": size,
        "parameters": count_parameters(module),
        "input": takes,
        "output": gives,
    }
    folder.mkdir(parents=True)
    golden = make_golden(module, inputs)
    write_package(folder, config, module.state_dict(), golden, card(name, family, 1, "own", []))


def child(command: list[str], log: Path) -> None:
    """Runs a converter with its output in a log; raises EdgeGANError with the log's last line."""
    with log.open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise EdgeGANError(f"{lines[-1][:160]} (log: {log})")


def convert_ours(folder: Path, pictures: Path | None) -> dict[str, Path]:
    """Every artefact of `edgegan export`."""
    out = folder / "ours"
    if not (out / "done").is_file():
        command = [
            sys.executable,
            "-m",
            "edgegan",
            "export",
            str(folder / "package"),
            "-o",
            str(out),
        ]
        command += ["--precision", "fp32", "--precision", "int8", "--overwrite"]
        config = read_config(folder / "package")
        if pictures is not None and config.input.kind == "image":
            command += ["--calibration", str(pictures)]
        if config.input.kind == "label_map":
            command += ["--calibration", str(write_labels(folder / "package", folder / "labels"))]
        child(command, folder / "ours.log")
        (out / "done").touch()
    found = {}
    for path in sorted(out.glob("*.tflite")) + sorted(out.glob("*.onnx")):
        precision = path.stem.rsplit("_", 1)[-1]
        found[f"edgegan {path.suffix[1:]} {precision}"] = path
    return found


def write_labels(package: Path, folder: Path) -> Path:
    """The package's golden label maps as PNG files."""
    golden = read_tensors(package, read_config(package), "golden.safetensors")["input"]
    folder.mkdir(exist_ok=True)
    for index, labels in enumerate(golden.argmax(1).to(torch.uint8).numpy()):
        Image.fromarray(labels).save(folder / f"{index}.png")
    return folder


def peer(kind: str, folder: Path, output: str, *more: str) -> Path:
    """One file of exporter_peers.py."""
    path = folder / output
    if not path.is_file():
        script = str(HERE / "exporter_peers.py")
        partial = path.with_name(f"partial_{path.name}")
        command = [sys.executable, script, kind, str(folder / "package"), str(partial), *more]
        child(command, path.with_suffix(".log"))
        partial.rename(path)
    return path


def tensorflow(folder: Path, python: str, *, int8: bool) -> Path:
    """The hand mirror through the tensorflow.lite converter."""
    name = "tensorflow_int8" if int8 else "tensorflow_fp32"
    path = folder / f"{name}.tflite"
    if path.is_file():
        return path
    config = read_config(folder / "package")
    if config.family not in ("resnet", "cartoon"):
        raise EdgeGANError(f"no mirror of family {config.family}")
    from safetensors.numpy import load_file

    weights: dict[str, Any] = load_file(folder / "package" / "model.safetensors")
    np.savez(folder / "weights.npz", **weights)
    job = {
        "spec": config.spec,
        "family": config.family,
        "weights": str(folder / "weights.npz"),
        "calibration": str(folder / "calibration_nhwc.npy"),
        "size": list(config.size),
        "output": str(path),
        "int8": int8,
    }
    write_json(folder / f"{name}.json", job)
    child(
        [python, str(HERE / "tensorflow_mirror.py"), str(folder / f"{name}.json")],
        path.with_suffix(".log"),
    )
    return path


def convert_row(name: str, work: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """Every exporter's artefacts of one row; what fails is said with its reason."""
    folder = work / name
    if not is_package(folder / "package"):
        folder.mkdir(parents=True, exist_ok=True)
        make_package(folder / "package", name, arguments.weights)
    config = read_config(folder / "package")
    if arguments.pictures is not None and config.input.kind == "image":
        files = list_images(arguments.pictures)[:CALIBRATION_IMAGES]
        images = np.stack(
            [to_float(center_crop(read_image(f), config.size, None), 3) for f in files]
        )
    else:
        images = golden_images(CALIBRATION_IMAGES, config.size, 3).numpy()
    np.save(folder / "calibration_nchw.npy", images)
    np.save(folder / "calibration_nhwc.npy", np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
    found: dict[str, Path] = {}

    def attempt(label: str, work: Callable[[], dict[str, Path]]) -> None:
        try:
            found.update(work())
        except EdgeGANError as error:
            say(f"{name}: {label} left out: {error}")

    attempt("edgegan", lambda: convert_ours(folder, arguments.pictures))
    attempt("litert-torch", lambda: {"litert-torch fp32": peer("litert", folder, "plain.tflite")})
    if (folder / "plain.tflite").is_file() and config.input.kind == "image":
        more = (str(folder / "calibration_nchw.npy"), str(folder / "plain.tflite"))
        attempt(
            "litert-torch int8",
            lambda: {"litert-torch int8": peer("litert-int8", folder, "plain_int8.tflite", *more)},
        )
    if arguments.tensorflow:
        for int8 in (False, True):
            label = f"tensorflow.lite {'int8' if int8 else 'fp32'}"
            attempt(
                label,
                lambda label=label, int8=int8: {  # type: ignore[misc]
                    label: tensorflow(folder, arguments.tensorflow, int8=int8)
                },
            )
    attempt("ONNX Runtime", lambda: {"onnxruntime fp32": peer("onnx", folder, "raw.onnx")})
    return found


def floor_artefacts(work: Path) -> dict[str, Path]:
    """One dense convolution in float32 and in int8."""
    found = {}
    for label, dtype in (("floor fp32", "FLOAT32"), ("floor int8", "INT8")):
        path = work / f"{label.replace(' ', '_')}.tflite"
        path.write_bytes(build_one(convolution(FLOOR_SIDE, FLOOR_CHANNELS, dtype), dtype))
        found[label] = path
    return found


def summarise_row(
    name: str, macs: int, threads: int, samples: dict[str, list[float]]
) -> list[dict]:
    """One line an artefact: latency, its ratio to ours in the same precision, and the share of the floor."""
    medians = {label: summarise(values) for label, values in samples.items()}
    lines = []
    for label, figures in medians.items():
        if label.startswith("floor"):
            continue
        precision = label.rsplit(" ", 1)[-1]
        floor = medians[f"floor {precision}"]["min_ms"] * macs / FLOOR_MACS
        ours = medians.get(f"edgegan tflite {precision}")
        lines.append(
            {
                "row": name,
                "threads": threads,
                "exporter": label,
                **figures,
                "floor_ms": floor,
                "over_floor": figures["min_ms"] / floor,
                "over_ours": figures["median_ms"] / ours["median_ms"] if ours else None,
            }
        )
    return lines


def show(lines: list[dict[str, Any]]) -> str:
    """The lines as a table."""
    rows = [
        [
            f"{each['row']} {each['exporter']}",
            str(each["threads"]),
            f"{each['median_ms']:.2f}",
            f"{each['interval_low_ms']:.2f}-{each['interval_high_ms']:.2f}",
            f"{each['min_ms']:.2f}",
            "" if each["over_ours"] is None else f"{each['over_ours']:.2f}x",
            f"{each['floor_ms']:.2f}",
            f"{each['over_floor']:.2f}x",
        ]
        for each in lines
    ]
    headers = ["artefact", "threads", "median ms", "95 % interval", "min ms", "over ours"]
    return table([*headers, "floor ms", "min over floor"], rows)


def main() -> None:
    """Converts, times and prints; the lines are also written as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("EDGEGAN_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/bench_exporters"))
    parser.add_argument("--weights", type=Path, help="CartoonGAN checkpoint for the teacher's row")
    parser.add_argument("--pictures", type=Path, help="folder of pictures that calibrate int8")
    parser.add_argument("--tensorflow", help="a Python that has tensorflow")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each artefact a round")
    arguments = parser.parse_args()
    if data:
        arguments.weights = arguments.weights or Path(data) / "weights/cartoongan_hayao_fp16.pth"
        arguments.pictures = arguments.pictures or Path(data) / "images/bsds500/train/photo"
    arguments.work.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    for name in arguments.rows:
        try:
            artefacts = convert_row(name, arguments.work, arguments)
        except EdgeGANError as error:
            say(f"{name} left out: {error}")
            continue
        macs = measure_macs(arguments.work / name / "package")
        for threads in arguments.threads:
            rounds = time_rounds(
                floor_artefacts(arguments.work) | artefacts,
                threads,
                arguments.rounds,
                arguments.seconds,
            )
            samples = {label: pooled(each) for label, each in rounds.items()}
            found = summarise_row(name, macs, threads, samples)
            say(show(found))
            lines += found
            write_json(
                arguments.work / "exporters.json", {"environment": environment(), "lines": lines}
            )
    sys.stdout.write(show(lines) + "\n")


def measure_macs(package: Path) -> int:
    """True multiply-adds of a package's generator."""
    from edgegan.metrics.complexity import measure
    from edgegan.models.zoo import load_generator

    config, module = load_generator(package)
    return measure(module, read_tensors(package, config, "golden.safetensors")["input"][:1]).macs


if __name__ == "__main__":
    main()
