"""Shared fixtures: a tiny teacher, a tiny finished run, and the path of real data where there is any."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: threads of their own would fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SIZE = 32


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real weights and images: $EDGEGAN_DATA, or shared/data beside the project; skipped when absent."""
    folder = Path(os.environ.get("EDGEGAN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "weights").is_dir():
        pytest.skip(f"no real data in {folder}; set EDGEGAN_DATA")
    return folder


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
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder.parent / f"{name}.done").is_file():
            make(folder)
            (folder.parent / f"{name}.done").touch()
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small pictures."""
    return made_once(tmp_path_factory, "pictures", lambda folder: make_pictures(folder, 10))


@pytest.fixture(scope="session")
def resnet_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ResNet generator with random weights in the public key layout, no dropout entry."""
    import torch

    from edgegan.models.keymaps.resnet import namer
    from edgegan.models.resnet import ResnetGenerator, ResnetSpec

    torch.manual_seed(0)
    module = ResnetGenerator(ResnetSpec.from_ngf(16, 3))
    to_public = namer(blocks=3, second=5)
    state = {to_public(key): value for key, value in module.state_dict().items()}

    def save(folder: Path) -> None:
        folder.mkdir()
        torch.save(state, folder / "latest_net_G.pth")

    return made_once(tmp_path_factory, "checkpoint", save) / "latest_net_G.pth"


@pytest.fixture(scope="session")
def cartoon_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow CartoonGAN with random weights in the upstream key layout."""
    import torch

    from edgegan.models.cartoon import CartoonGenerator, CartoonSpec
    from edgegan.models.keymaps.cartoon import to_public

    torch.manual_seed(0)
    spec = CartoonSpec(
        stem=8, down1=(16, 16), down2=(16, 16), inner=(16,) * 8, up1=(16, 16), up2=(8, 8)
    )
    state = {to_public(key): value for key, value in CartoonGenerator(spec).state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "teacher.pth"
    torch.save(state, path)
    return path


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


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """A compressed, exported and benched run of an InstanceNorm student. Tests only read it."""

    def run_all(folder: Path) -> None:
        edgegan(*compress_arguments(resnet_checkpoint, pictures, folder))
        edgegan("export", folder)
        edgegan("bench", folder, "--seconds", "0.2")

    return made_once(tmp_path_factory, "tiny", run_all)
