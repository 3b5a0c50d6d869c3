"""The pictures that a discriminator is shown again (CycleGAN's buffer), with what they were made from."""

from __future__ import annotations

import random
from typing import Any

import torch

REPLAY_IMAGES = 50


class Replay:
    """The student's images that the discriminator is shown again (CycleGAN's buffer), kept in half precision."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []
        self.inputs: list[torch.Tensor] = []

    def take(
        self, inputs: torch.Tensor, output: torch.Tensor, chance: random.Random
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and images of a discriminator step: each image, or with probability a half an older one."""
        taken = []
        for x, image in zip(inputs, output.detach(), strict=True):
            shown = x, image
            if len(self.images) < REPLAY_IMAGES:
                self.inputs.append(x.half())
                self.images.append(image.half())
            elif chance.random() < 0.5:
                place = chance.randrange(REPLAY_IMAGES)
                shown = self.inputs[place].float(), self.images[place].float()
                self.inputs[place], self.images[place] = x.half(), image.half()
            taken.append(shown)
        both = [torch.stack(parts) for parts in zip(*taken, strict=True)]
        return both[0], both[1]

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"inputs": self.inputs, "images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.inputs, self.images = list(state["inputs"]), list(state["images"])
