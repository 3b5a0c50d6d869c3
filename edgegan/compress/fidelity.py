"""Quality to the teacher: of sub-networks on the search images, of a student on the validation pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from edgegan.channels.rules import BatchNorms
from edgegan.channels.slicing import extract
from edgegan.channels.space import Widths
from edgegan.compress.search.supernet import Shared
from edgegan.compress.teacher.cache import Cache
from edgegan.metrics.quality import psnr, ssim
from edgegan.models.recording import hooked
from edgegan.training.freeze import CROPS, measure_statistics
from edgegan.training.losses import FeatureMaps


@dataclass(frozen=True)
class Fitness:
    """Scores sub-networks against the teacher on a cache's search images; higher is better.

    "psnr" in dB, "ssim" in [-1, 1], "feature" minus the feature loss at the taps through the supernet's maps.
    """

    shared: Shared
    cache: Cache
    metric: str
    maps: FeatureMaps | None
    device: torch.device

    def __call__(self, plan: Widths) -> float:
        """The mean over the search images."""
        module = self.shared.module.eval()
        columns = self.shared.columns(plan)
        values = []
        with hooked(module, self.cache.taps) as recorded, torch.inference_mode():
            run = self.runner(plan)
            for index, stored in enumerate(self.cache.search_inputs):
                output = run(self.cache.load(stored[None], self.device))
                target = np.asarray(self.cache.search_outputs[index], np.float32)
                if self.metric == "psnr":
                    values.append(psnr(output[0].cpu().numpy(), target))
                elif self.metric == "ssim":
                    values.append(ssim(output.cpu(), torch.from_numpy(target)[None]))
                else:
                    assert self.maps is not None
                    theirs = [
                        torch.from_numpy(np.asarray(each[index : index + 1], np.float32)).to(
                            self.device
                        )
                        for each in self.cache.search_features
                    ]
                    values.append(-float(self.maps(list(recorded.values()), theirs, columns)))
        return float(np.mean(values))

    def runner(self, plan: Widths):  # type: ignore[no-untyped-def]
        """The sub-network as a function; one with BatchNorm gets statistics of its own first, since those that
        sub-networks share fit none of them (Yu & Huang 2019, section 3)."""
        if not any(isinstance(layer, BatchNorms) for layer in self.shared.module.modules()):
            return lambda x: self.shared.forward(plan, x)
        own = extract(self.shared.module, self.shared.graph, plan)
        measure_statistics(own, self.cache.load(self.cache.inputs[:CROPS], self.device))
        return own.eval()


def search_psnr(module: nn.Module, cache: Cache, device: torch.device) -> float:
    """Mean PSNR in dB to the teacher of a standalone generator over the search images."""
    with torch.inference_mode():
        made = [
            module.eval()(cache.load(stored[None], device))[0].cpu().numpy()
            for stored in cache.search_inputs
        ]
    targets = (np.asarray(each, np.float32) for each in cache.search_outputs)
    return float(np.mean([psnr(a, b) for a, b in zip(made, targets, strict=True)]))


def measure_quality(student: torch.nn.Module, cache: Cache) -> dict[str, float]:
    """Fidelity to the teacher over all validation pictures, and the same for the untouched input."""
    student_psnr, identity_psnr, similarity = [], [], []
    with torch.inference_mode():
        for stored, teacher in zip(cache.validation_inputs, cache.validation_outputs, strict=True):
            x = cache.codec.load(stored[None])
            target = np.asarray(teacher, np.float32)
            y = student(x)
            student_psnr.append(psnr(y[0].numpy(), target))
            similarity.append(ssim(y, torch.from_numpy(target)[None]))
            if cache.codec.spec.kind == "image" and x[0].shape == target.shape:
                identity_psnr.append(psnr(x[0].numpy(), target))
    quality = {
        "validation_images": len(student_psnr),
        "psnr_to_teacher_db": float(np.mean(student_psnr)),
        "ssim_to_teacher": float(np.mean(similarity)),
    }
    if identity_psnr:
        quality["identity_psnr_db"] = float(np.mean(identity_psnr))
    return quality
