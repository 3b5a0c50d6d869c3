"""The published minimax objective, in the terms of the distillation module.

Published (Wang et al., ECCV 2020): min over weights W and scales g, max over the discriminator D, of
L_GAN(q(W), g, D) + beta * L_dist(q(W), g) + rho * |g|_1, with q the quantizer. As released, D takes the teacher's
images for real and a buffer of the last fifty student images for fake.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import nn

from edgegan.models.discriminator import PatchSpec
from edgegan.models.judges import JudgeSpec, build_judge, load_judge
from edgegan.package import read_config
from edgegan.recipe.schema import Distill, Slim
from edgegan.training.objective import WEIGHTS

REPLAY_IMAGES = 50


def published_weights(settings: Distill, slimming: Slim) -> Distill:
    """Distillation terms times beta, and the adversarial weight of the published form."""
    weights = {
        f"{name}_weight": slimming.beta * getattr(settings, f"{name}_weight") for name in WEIGHTS
    }
    return settings.model_copy(update={**weights, "gan_weight": slimming.gan_weight})


def published_judge(teacher: Path, seed: int) -> tuple[JudgeSpec, nn.Module]:
    """The discriminator that a teacher's package keeps, or a fresh PatchGAN where it keeps none."""
    config = read_config(teacher)
    if config.discriminator is not None:
        return load_judge(teacher)
    torch.manual_seed(seed)
    spec = PatchSpec(in_channels=config.output.channels, layers=1 if min(config.size) < 64 else 3)
    return spec, build_judge(spec)


class Replay:
    """The student's images that the discriminator is shown again (CycleGAN's buffer), in half precision."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []
        self.inputs: list[torch.Tensor] = []

    def take(
        self, inputs: torch.Tensor, output: torch.Tensor, chance: random.Random
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and images of a discriminator step: each image, or with probability a half an older one."""
        taken = []
        for pair in zip(inputs.half(), output.detach().half(), strict=True):
            if len(self.images) < REPLAY_IMAGES:
                self.inputs.append(pair[0])
                self.images.append(pair[1])
            elif chance.random() < 0.5:
                place = chance.randrange(REPLAY_IMAGES)
                older = self.inputs[place], self.images[place]
                self.inputs[place], self.images[place] = pair
                pair = older
            taken.append(pair)
        shown = [torch.stack(parts).float() for parts in zip(*taken, strict=True)]
        return shown[0], shown[1]

    def state(self) -> dict[str, list[torch.Tensor]]:
        """For a checkpoint."""
        return {"inputs": self.inputs, "images": self.images}

    def restore(self, state: dict[str, list[torch.Tensor]]) -> None:
        """From a checkpoint."""
        self.inputs, self.images = list(state["inputs"]), list(state["images"])
