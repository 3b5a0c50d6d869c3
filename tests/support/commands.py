"""What most tests call: the command line, small pictures, a compress command of a few seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from edgegan.data.images import resize_nearest
from support import alone

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32


def edgegan(
    *arguments: object,
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, forked from the warm server; `fresh`: in a new interpreter.

    Raises subprocess.TimeoutExpired after `timeout` seconds.
    """
    words = [*map(str, arguments)]
    if fresh:
        command = [sys.executable, "-m", "edgegan", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=timeout
        )
    else:
        done = forked("edgegan.cli", "edgegan", words, cwd=cwd, env=env, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(
            f"edgegan {' '.join(words)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def forked(
    module: str, name: str, arguments: list[str], *, timeout: float, **place: Any
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of a program returns, from the warm server: `main()` of `module` with these arguments."""
    with tempfile.TemporaryDirectory(prefix="edgegan-test-") as folder:
        files = {each: Path(folder, each) for each in ("output", "errors")}
        process = alone.start(alone.call_main, module, name, arguments, **files, **place)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([name, *arguments], timeout)
        said = [path.read_text(encoding="utf-8") for path in files.values()]
        return subprocess.CompletedProcess([name, *arguments], process.exitcode, *said)


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
        "distill.steps=60",
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
