"""What a search goes by: how well a sub-network does with the shared weights, on the search images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edgegan.channels.rules import BatchNorms
from edgegan.channels.slicing import extract
from edgegan.channels.space import Widths
from edgegan.compress.fidelity import Runner, compared, psnr_to_teacher
from edgegan.compress.search.supernet import Shared
from edgegan.compress.teacher.cache import Cache
from edgegan.metrics.quality import ssim
from edgegan.models.recording import hooked
from edgegan.training.freeze import CROPS, measure_statistics
from edgegan.training.losses import FeatureMaps


@dataclass(frozen=True)
class Fitness:
    """Scores sub-networks on a cache's search images; higher is better.

    To the teacher "psnr" in dB, "ssim" in [-1, 1], "feature" minus the feature loss at the taps through the supernet's
    maps; where there is a `judge`, what it says.
    """

    shared: Shared
    cache: Cache
    metric: str
    maps: FeatureMaps | None
    device: torch.device
    judge: Callable[[Runner], float] | None = None

    def __call__(self, plan: Widths) -> float:
        """The mean over the search images."""
        module, cache, device = self.shared.module.eval(), self.cache, self.device
        with hooked(module, cache.taps) as recorded:
            run = self.runner(plan)  # a copy with statistics of its own takes the hooks along
            if self.judge is not None:
                return self.judge(run)
            if self.metric == "psnr":
                return psnr_to_teacher(run, cache, device, split="search")
            pairs = compared(run, cache, device, "search", None)
            if self.metric == "ssim":
                return float(np.mean([ssim(y, target) for _, y, target in pairs]))
            columns = self.shared.columns(plan)
            losses = [self.feature_loss(recorded, columns, i) for i, _ in enumerate(pairs)]
            return -float(np.mean(losses))

    def feature_loss(
        self, recorded: dict[str, torch.Tensor], columns: list[torch.Tensor], index: int
    ) -> float:
        """The distance of the features just recorded to the teacher's of a search image."""
        assert self.maps is not None
        theirs = [
            torch.from_numpy(np.asarray(each[index : index + 1], np.float32)).to(self.device)
            for each in self.cache.search_features
        ]
        with torch.inference_mode():
            return float(self.maps(list(recorded.values()), theirs, columns))

    def runner(self, plan: Widths) -> Runner:
        """The sub-network as a function; one with BatchNorm gets statistics of its own first, since those that
        sub-networks share fit none of them (Yu & Huang 2019, section 3)."""
        if not any(isinstance(layer, BatchNorms) for layer in self.shared.module.modules()):
            return lambda x: self.shared.forward(plan, x)
        own = extract(self.shared.module, self.shared.graph, plan)
        measure_statistics(own, self.cache.load(self.cache.inputs[:CROPS], self.device))
        return own.eval()
