"""The history of generated pictures that CycleGAN's discriminators judge (Shrivastava et al. 2017)."""

from __future__ import annotations

import random
from typing import Any

import torch


class ImagePool:
    """Up to `size` earlier pictures. What a query returns depends on the contents and on `chance` alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[torch.Tensor] = []

    def query(self, images: torch.Tensor, chance: random.Random) -> torch.Tensor:
        """(N, C, H, W) -> the same shape: each picture, or half of the time, once the pool is full, an older one in
        whose place it is kept."""
        given = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                given.append(image)
            elif self.size and chance.random() < 0.5:
                place = chance.randrange(self.size)
                given.append(self.images[place])
                self.images[place] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.images = list(state["images"])
