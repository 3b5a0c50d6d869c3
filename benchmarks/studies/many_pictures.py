"""make bench-many-pictures: `edgegan run` over 5,000 and over 20,000 small pictures.

python -m edgegan.benchmarks.studies.many_pictures prints for each count the seconds until the first result, the seconds
in all, and the memory when a tenth is done and at most; then how much longer the larger count takes. Exits with 3 when
the first result takes more than 10 s, when four times as many pictures take more than 4.4 times as long, or when memory
grows by more than 5 % after the first tenth. The pictures are hard links to one file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from edgegan.console import emit, say, table
from edgegan.errors import EXIT_GATE, DeviceError
from edgegan.models.resnet.keymap import namer
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec

COUNTS = (5_000, 20_000)
FIRST_S, LONGER, GROWTH = 10.0, 4.4, 1.05
LOOK_S = 0.2
SIDE = 16


@dataclass(frozen=True)
class Passed:
    """One call of `run`: seconds, and memory of its processes in bytes."""

    count: int
    first_s: float
    total_s: float
    early_bytes: int
    most_bytes: int


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs=2, default=COUNTS)
    few, many = parser.parse_args().counts
    with tempfile.TemporaryDirectory(prefix="edgegan-many-") as name:
        folder = Path(name)
        make_package(folder)
        passed = [run_over(folder, count) for count in (few, many)]
    rows = [
        [
            f"{each.count:,}",
            f"{each.first_s:.1f}",
            f"{each.total_s:.1f}",
            f"{each.early_bytes / 1e6:.0f}",
            f"{each.most_bytes / 1e6:.0f}",
        ]
        for each in passed
    ]
    emit(table(["pictures", "first after s", "all after s", "MB at a tenth", "MB at most"], rows))
    longer = passed[1].total_s / passed[0].total_s
    emit(f"{many / few:.1f} times as many pictures take {longer:.2f} times as long")
    slow = max(each.first_s for each in passed) > FIRST_S or longer > LONGER * many / few / 4
    grown = any(each.most_bytes > GROWTH * each.early_bytes for each in passed)
    sys.exit(EXIT_GATE if slow or grown else 0)


def make_package(folder: Path) -> None:
    """A tiny generator and one small picture."""
    torch.manual_seed(0)
    name = namer(blocks=1, second=5)
    state = ResnetGenerator(ResnetSpec.from_ngf(8, 1)).state_dict()
    torch.save({name(key): value for key, value in state.items()}, folder / "net_G.pth")
    arguments = ["import", "net_G.pth", "-o", "package", "--size", str(SIDE)]
    subprocess.run([sys.executable, "-m", "edgegan", *arguments], cwd=folder, check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")


def run_over(folder: Path, count: int) -> Passed:
    """Runs the generator over that many links to the picture."""
    pictures, output = folder / f"in{count}", folder / f"out{count}"
    pictures.mkdir()
    for number in range(count):
        os.link(folder / "picture.png", pictures / f"{number:06d}.png")
    arguments = ["run", "package", str(pictures), "-o", str(output), "--threads", "1"]
    began = time.monotonic()
    first_s, early, most = None, 0, 0
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "edgegan", *arguments], cwd=folder, stdout=log, stderr=log
        )
        while child.poll() is None:
            time.sleep(LOOK_S)
            if first_s is None and output.is_dir() and any(output.glob("*.png")):
                first_s = time.monotonic() - began
            most = max(most, memory_of(child.pid))
            if (output / f"{count // 10:06d}.png").exists() and not early:
                early = most
    total_s = time.monotonic() - began
    if child.returncode != 0 or first_s is None:
        raise DeviceError((folder / "log").read_text(errors="replace").strip())
    say(f"{count:,} pictures in {total_s:.0f} s")
    return Passed(count, first_s, total_s, early or most, most)


def memory_of(process: int) -> int:
    """Resident bytes of a process and of all it started."""
    total, waiting = 0, [process]
    while waiting:
        number = waiting.pop()
        try:
            for task in Path(f"/proc/{number}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


if __name__ == "__main__":
    main()
