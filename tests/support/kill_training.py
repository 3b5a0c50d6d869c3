"""Run by test_training: trains each method in a forked child that is killed with -9 again and again, and to the end.

Usage: kill_training.py FOLDER. One import of torch serves all children. Prints one JSON line a method.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # fvcore and optimisers import it at first use: once here, not in every child

from edgegan.recipe.loading import parse_recipe
from edgegan.training.teachers.train import train

STEPS = 14
KILLS = 3
COMMON = {"steps": STEPS, "ngf": 4, "ndf": 4, "log_every": 1, "sample_every": 6}
METHODS = {
    "pix2pix": {
        "data": {"kind": "paired", "size": [32, 32], "resize": 36},
        "train": {"generator": "unet", "depth": 5, "l1_weight": 100, "gan_mode": "vanilla"},
    },
    "cyclegan": {
        "data": {"kind": "unpaired", "size": [32, 32]},
        "train": {"depth": 1, "cycle_weight": 10, "identity_weight": 0.5, "pool": 3},
    },
    "gaugan": {
        "data": {"kind": "labels", "classes": 3, "size": [32, 32]},
        "train": {
            "spec": {"upsampling": "normal"},
            "spectral": True,
            "batch": 2,
            "gan_mode": "hinge",
            "feature_weight": 10,
            "discriminator_layers": 3,
        },
    },
    "sngan": {
        "data": {"kind": "noise", "size": [16, 16]},
        "train": {"batch": 4, "discriminator_steps": 2, "gan_mode": "hinge"},
    },
}


ACROSS = {  # no batch norm and no dropout, which see one process's pictures alone
    "data": {"kind": "paired", "size": [32, 32], "resize": 36},
    "train": {"depth": 1, "l1_weight": 10, "steps": 20},
}


def start(method: str, data: Path, folder: Path, values: Any = None, **more: str) -> int:
    """A child that trains with more environment variables; returns its process id."""
    values = values or METHODS[method]
    folders = {"train": str(data / ("l" if method == "gaugan" else "a"))}
    if method != "sngan":
        folders["target"] = str(data / "b")
    recipe = parse_recipe(
        {
            "name": method,
            "device": "cpu",
            "data": {**values["data"], **folders},
            "train": {**COMMON, **values["train"], "method": method, "checkpoint_seconds": 1e-3},
        },
        "test",
    )
    child = os.fork()
    if child:
        return child
    code = 1
    os.environ.update(more)
    try:
        train(recipe, folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(method: str, data: Path, folder: Path) -> float:
    """Trains to the end; returns the seconds it took."""
    began = time.monotonic()
    _, status = os.waitpid(start(method, data, folder), 0)
    if status:
        raise SystemExit(f"{method} failed")
    return time.monotonic() - began


def train_in_two(data: Path, folder: Path) -> None:
    """pix2pix in two processes of batch 2, and in one of batch 4."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    two = {**ACROSS, "train": {**ACROSS["train"], "batch": 2}}
    one = {**ACROSS, "train": {**ACROSS["train"], "batch": 4}}
    children = [
        start("pix2pix", data, folder / "two_processes", two, RANK=rank, **place)
        for rank in ("0", "1")
    ]
    children.append(start("pix2pix", data, folder / "one_process", one))
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("two processes failed")


def main() -> None:
    """Each method twice: undisturbed, and killed at random moments."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    chance = random.Random(5)
    train_in_two(folder / "data", folder)
    for method in METHODS:
        needed_s = finish(method, folder / "data", folder / f"{method}_whole")
        resumed = []
        for _ in range(KILLS):
            checkpoint = folder / method / "stages/train/checkpoint.pt"
            before = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
            child = start(method, folder / "data", folder / method)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not (
                checkpoint.is_file() and checkpoint.stat().st_mtime_ns > before
            ):
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.2) * needed_s)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            resumed.append(torch.load(checkpoint, weights_only=True)["step"])
        finish(method, folder / "data", folder / method)
        sys.stdout.write(json.dumps({"method": method, "killed_at": resumed}) + "\n")


if __name__ == "__main__":
    main()
