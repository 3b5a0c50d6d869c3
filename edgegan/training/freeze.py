"""Fine-tuning with frozen statistics: BatchNorm trains its last steps as it will run.

At batch 1 a BatchNorm in training normalises each crop by its own statistics, exactly as InstanceNorm does, and in
evaluation by averages it never trained with. The last steps therefore run with those averages, taken anew over many
crops at the step where they freeze.
"""

from __future__ import annotations

import torch
from torch import nn

CROPS = 64


def freeze_step(steps: int, share: float) -> int:
    """The step from which statistics stay as they are for the last `share` of all steps; `steps` when they never do."""
    return steps - int(steps * share)


def batch_norms(student: nn.Module) -> list[nn.BatchNorm2d]:
    """The norms that have statistics to freeze."""
    return [layer for layer in student.modules() if isinstance(layer, nn.BatchNorm2d)]


def hold_statistics(student: nn.Module) -> None:
    """Makes BatchNorm use its stored statistics while the rest trains."""
    for norm in batch_norms(student):
        norm.eval()


def measure_statistics(student: nn.Module, crops: torch.Tensor) -> None:
    """Sets every BatchNorm's statistics to their plain averages over crops (N, C, H, W), one crop at a time."""
    norms = batch_norms(student)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for crop in crops:
            student(crop[None])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
