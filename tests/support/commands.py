"""What most tests call: the command line, small pictures, a compress command of a few seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from edgegan.data.images import resize_nearest

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32


def edgegan(
    *arguments: object, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    command = [sys.executable, "-m", "edgegan", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, timeout=600
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def make_pictures(folder: Path, count: int, size: tuple[int, int] = (40, 48)) -> Path:
    """Smooth random pictures, (height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(count)
    for index in range(count):
        coarse = chance.integers(0, 255, (5, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        image.save(folder / f"picture{index}.png")
    return folder


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, once for all workers that test side by side: the first makes it, the others wait."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f"{name}.lock"):
        if not (folder.parent / f"{name}.done").is_file():
            make(folder)
            (folder.parent / f"{name}.done").touch()
    return folder


def compress_arguments(checkpoint: Path, pictures: Path, run: Path, *more: str) -> list[object]:
    """A compress command of a few seconds."""
    settings = [
        f"data.size=[{SIZE},{SIZE}]",
        "data.crops=8",
        "distill.steps=40",
        "distill.batch=2",
        *more,
    ]
    arguments: list[object] = [
        "compress",
        "resnet",
        "--teacher",
        checkpoint,
        "--data",
        pictures,
        "-o",
        run,
    ]
    arguments += ["--set", "student.scale=0.5"]
    for setting in settings:
        arguments += ["--set", setting]
    return arguments


def make_maps(folder: Path, count: int, classes: int = 3, size: tuple[int, int] = (40, 48)) -> Path:
    """Label maps named as `make_pictures` names pictures."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for index in range(count):
        coarse = chance.integers(0, classes, (5, 6), dtype=np.uint8)
        Image.fromarray(resize_nearest(coarse, *size)).save(folder / f"picture{index}.png")
    return folder
