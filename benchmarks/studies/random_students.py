"""Random students of one family as int8 artefacts, to try predictors on: widths drawn at random, random weights."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from edgegan.data.procedural import write_dataset
from edgegan.errors import EdgeGANError
from edgegan.files import make_folder
from edgegan.models.packaging import card, golden_inputs
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build, count_parameters, describe_io, make_golden
from edgegan.package import write_package

GOLDEN_COUNT = 4
CALIBRATION_IMAGES = 8
CHOICES = {
    "stem": (8, 16, 24, 32),
    "down": (16, 24, 32, 48, 64),
    "trunk": (16, 32, 48, 64, 96),
    "inner": (16, 32, 48, 64, 96),
    "up0": (16, 24, 32, 48, 64),
    "up1": (8, 16, 24, 32),
}


@dataclass(frozen=True)
class Student:
    """An exported student and the widths it was drawn with: stem, down, trunk, inner, up0, up1."""

    path: Path
    widths: tuple[int, ...]


def random_widths(seed: int) -> tuple[int, ...]:
    """One width of each kind."""
    chance = random.Random(seed)
    return tuple(chance.choice(values) for values in CHOICES.values())


def make_student(folder: Path, widths: tuple[int, ...], size: int, norm: str) -> Student:
    """Writes the package and exports it to int8 TFLite, once; `norm` is batch (static int8) or instance (dynamic)."""
    stem, down, trunk, inner, up0, up1 = widths
    target = folder / "_".join(map(str, widths))
    artefact = target / "export" / "student_int8.tflite"
    if artefact.is_file():
        return Student(artefact, widths)
    torch.manual_seed(sum(widths))
    spec = ResnetSpec.model_validate(
        {
            "stem": stem,
            "down": down,
            "trunk": trunk,
            "inner": (inner,) * 3,
            "up": (up0, up1),
            "block": "separable",
            "norm": norm,
        }
    )
    module = build("resnet", spec).eval()
    takes, gives = describe_io(spec)
    parameters = count_parameters(module)
    name = "random student"
    config = {
        "family": "resnet",
        "spec": spec.model_dump(mode="json"),
        "name": name,
        "role": "student",
        "size": (size, size),
        "input": takes,
        "output": gives,
        "parameters": parameters,
        "source": {"changes": "random weights"},
        "licence": "none",
    }
    golden = make_golden(module, golden_inputs(GOLDEN_COUNT, (size, size), takes))
    package = make_folder(target / "package")
    if not (package / "config.json").is_file():
        write_package(
            package,
            config,
            module.state_dict(),
            golden,
            card(name, "resnet", parameters, "none", ["random weights"]),
        )
    command = [
        sys.executable,
        "-m",
        "edgegan",
        "export",
        str(package),
        "-o",
        str(target / "export"),
    ]
    command += ["--target", "tflite", "--precision", "int8"]
    command += ["--calibration", str(folder / "calibration")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeGANError(f"cannot export a random student: {done.stderr.strip()}")
    return Student(artefact, widths)


def make_students(folder: Path, count: int, size: int, norm: str = "batch") -> list[Student]:
    """`count` different students; those that are there already are kept."""
    if not (folder / "calibration").is_dir():
        write_dataset(folder / "calibration", CALIBRATION_IMAGES, size, 0)
    found: dict[tuple[int, ...], Student] = {}
    seed = 0
    while len(found) < count:
        widths = random_widths(seed)
        seed += 1
        if widths not in found:
            found[widths] = make_student(folder, widths, size, norm)
            print(f"student {len(found)} of {count}: {widths}", file=sys.stderr, flush=True)
    return list(found.values())


def main() -> None:
    """python -m edgegan.benchmarks.studies.random_students FOLDER COUNT SIZE [NORM]"""
    folder, count, size, *norm = sys.argv[1:]
    make_students(Path(folder), int(count), int(size), *norm)


if __name__ == "__main__":
    main()
