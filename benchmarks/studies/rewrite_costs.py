"""What single rewrites are worth in LiteRT: `make bench-rewrites`.

Each layer as it is and rewritten, in one interleaved run on one thread; median and fastest milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgegan.export import to_tflite
from edgegan.export.rewrite import rewrite
from edgegan.export.signature import Boundary, Example, Signature
from edgegan.export.targets import TARGETS
from edgegan.package import ImageIO
from edgegan.runtime.worker import LiteRT
from edgegan.tensors import to_artefact

Case = tuple[str, list[nn.Module], tuple[int, int], str]


def cases() -> list[Case]:
    """(name, layers, (channels, side), rewrite): the layers alone against the layers after that rewrite."""
    found: list[Case] = []
    for inputs, outputs, side in ((128, 64, 64), (64, 32, 64), (512, 512, 8), (64, 3, 128)):
        deconv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        name = f"transposed k4 s2 {inputs}->{outputs} at {side}"
        found.append((name, [deconv, nn.ReLU()], (inputs, side), "split_transposed"))
    for inputs, outputs, side in ((256, 128, 64), (64, 32, 64), (32, 16, 128)):
        name = f"transposed k3 s2 {inputs}->{outputs} at {side}, against zero-extended k4"
        layers = [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        found.append((name, layers, (inputs, side), "k3"))
    for inputs, outputs, side in ((128, 64, 64), (64, 32, 128), (256, 256, 16)):
        layers = [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        name = f"nearest x2, 3x3 {inputs}->{outputs} at {side}"
        found.append((name, layers, (inputs, side), "merge_enlargement"))
    for inputs, side, kernel in ((64, 256, 3), (16, 256, 7), (256, 32, 3)):
        head = nn.Conv2d(inputs, 3, kernel, padding=kernel // 2)
        name = f"last convolution {kernel}x{kernel} {inputs}->3 at {side}"
        found.append((name, [head, nn.Tanh()], (inputs, side), "strided_head"))
    for narrow, wide in ((12, 16), (20, 24), (28, 32), (52, 64), (60, 64), (66, 80)):
        plain = [nn.Conv2d(narrow, narrow, 3, padding=1) for _ in range(4)]
        name = f"four 3x3 of width {narrow} at 64, against width {wide}"
        found.append((name, list[nn.Module](plain), (narrow, 64), f"width {wide}"))
    return found


def write(module: nn.Module, shape: tuple[int, int], path: Path, keep: str) -> LiteRT:
    """Converts with one rewrite, or none, and loads."""
    x = torch.randn(1, shape[0], shape[1], shape[1])
    kind, size = ImageIO(channels=shape[0], colour="other"), (shape[1], shape[1])
    signature = Signature().resolved("NHWC")
    takes, gives = signature.input_info(kind, size), signature.image_info("output", kind, size)
    with torch.no_grad(), redirect_stdout(sys.stderr):
        graph, _ = rewrite(
            module, x, "tflite", [name for name in TARGETS["tflite"].passes() if name != keep]
        )
        tensor = to_artefact(x.numpy(), takes)
        example = Example(torch.from_numpy(tensor), size)
        to_tflite.convert_fp32([(Boundary(graph, takes, gives), example)], path)
    runner = LiteRT(str(path), "litert", 1)
    runner.set_input(tensor)
    return runner


def pair(case: Case, folder: Path) -> list[LiteRT]:
    """The two artefacts of a case."""
    _, layers, shape, keep = case
    plain = nn.Sequential(*layers).eval()
    other, other_shape = plain, shape
    if keep == "k3":
        deconv = layers[0]
        assert isinstance(deconv, nn.ConvTranspose2d)
        short = nn.ConvTranspose2d(deconv.in_channels, deconv.out_channels, 3, 2, 1, 1)
        other, keep = nn.Sequential(short, nn.ReLU()).eval(), "split_transposed"
    if keep.startswith("width"):
        wide = int(keep.split()[1])
        other_shape = (wide, shape[1])
        other = nn.Sequential(*(nn.Conv2d(wide, wide, 3, padding=1) for _ in layers)).eval()
    return [
        write(plain, shape, folder / "plain.tflite", ""),
        write(other, other_shape, folder / "rewritten.tflite", keep),
    ]


def main() -> None:
    """Prints one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    for case in cases():
        if arguments.only not in case[0]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            runners = pair(case, Path(folder))
            taken: list[list[float]] = [[], []]
            for turn in range(arguments.rounds):
                for index in (0, 1) if turn % 2 else (1, 0):
                    began = time.perf_counter()
                    runners[index].invoke()
                    taken[index].append((time.perf_counter() - began) * 1e3)
        figures = [f"{np.median(each[4:]):7.2f} ({min(each[4:]):6.2f})" for each in taken]
        ratio = min(taken[0][4:]) / min(taken[1][4:])
        print(f"{case[0]:62s} {figures[0]} ms -> {figures[1]} ms  {ratio:5.2f}x", flush=True)


if __name__ == "__main__":
    main()
