"""Runs of tiny generators that make pictures of another size: twice as large, and half as large."""

from __future__ import annotations

from pathlib import Path

from support.commands import SIZE, edgegan

RATIOS = {"double": (2, 1), "half": (1, 2)}
SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1, stride=1 if scale == 2 else 2)
        self.left = nn.Conv2d(16, 16, 3, padding=1)
        self.right = nn.Conv2d(16, 16, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest") if scale == 2 else nn.Identity()
        self.last = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x):
        a = torch.relu(self.first(x))
        a = a + self.right(torch.relu(self.left(a)))
        return torch.tanh(3 * self.last(self.up(a)))


def double():
    torch.manual_seed(3)
    return Net(2)


def half():
    torch.manual_seed(4)
    return Net(1)
"""


def make_resizing_runs(folder: Path, pictures: Path) -> None:
    """Compressed and exported runs `double` and `half` in this folder, .tflite in fp32 and int8."""
    folder.mkdir()
    (folder / "resizing.py").write_text(SOURCE, encoding="utf-8")
    for name in RATIOS:
        own = ("--generator", f"resizing:{name}")
        shape = ("--input-shape", f"3x{SIZE}x{SIZE}")
        edgegan("import", *own, *shape, "-o", f"{name}_teacher", cwd=folder)
        settings = (f"name={name}", f"data.size=[{SIZE},{SIZE}]", "data.crops=8")
        arguments = [part for each in (*settings, "distill.steps=4") for part in ("--set", each)]
        edgegan(
            *("compress", "resnet", "--teacher", f"{name}_teacher", "--data", pictures),
            *("-o", name, *own, *arguments),
            cwd=folder,
        )
        kinds = ("--target", "tflite", "--precision", "fp32", "--precision", "int8")
        edgegan("export", name, *own, "--which", "student", *kinds, "--force", cwd=folder)
