"""Quality to the teacher over a run's cached pictures: of students, of sub-networks, of simulations in int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from edgegan.channels.program import evaluating
from edgegan.compress.teacher.cache import Cache
from edgegan.metrics.quality import psnr, ssim, untouched

Runner = Callable[[torch.Tensor], torch.Tensor]
CPU = torch.device("cpu")


def compared(
    run: Runner, cache: Cache, device: torch.device, split: str, count: int | None
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For each of the first `count` pictures of a split: the input, what `run` makes of it, and the teacher's output.

    All are (1, C, H, W) or (1, dimension) on the CPU.
    """
    inputs, outputs = cache.held[split]
    for stored, target in zip(inputs[:count], outputs[:count], strict=True):
        x = cache.load(stored[None], device)
        with torch.inference_mode():
            y = run(x)
        yield x.cpu(), y.cpu(), torch.from_numpy(np.asarray(target, np.float32))[None]


def psnr_to_teacher(
    run: Runner,
    cache: Cache,
    device: torch.device = CPU,
    *,
    split: str = "validation",
    count: int | None = None,
) -> float:
    """Mean PSNR in dB to the teacher over the first `count` pictures of a split ("validation" or "search").

    `run` is called without gradients; a module is put in evaluation mode meanwhile.
    """
    with evaluating(run) if isinstance(run, nn.Module) else nullcontext():
        pairs = compared(run, cache, device, split, count)
        return float(np.mean([psnr(y[0].numpy(), target[0].numpy()) for _, y, target in pairs]))


def measure_quality(student: nn.Module, cache: Cache) -> dict[str, float]:
    """Fidelity to the teacher over all validation pictures, and the same for the untouched input."""
    student_psnr, identity_psnr, similarity = [], [], []
    is_picture = cache.codec.spec.kind == "image"
    for x, y, target in compared(student, cache, CPU, "validation", None):
        student_psnr.append(psnr(y[0].numpy(), target[0].numpy()))
        similarity.append(ssim(y, target))
        plain = untouched(x[0].numpy(), target.shape[1:]) if is_picture else None
        if plain is not None:
            identity_psnr.append(psnr(plain, target[0].numpy()))
    quality = {
        "validation_images": len(student_psnr),
        "psnr_to_teacher_db": float(np.mean(student_psnr)),
        "ssim_to_teacher": float(np.mean(similarity)),
    }
    if identity_psnr:
        quality["identity_psnr_db"] = float(np.mean(identity_psnr))
    return quality
