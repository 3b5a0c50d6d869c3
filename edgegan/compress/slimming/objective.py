"""What a step of slimming minimises: distillation terms, the adversarial term, and the published minimax objective.

Published (Wang et al., ECCV 2020): min over weights W and scales g, max over the discriminator D, of
L_GAN(q(W), g, D) + beta * L_dist(q(W), g) + rho * |g|_1, with q the quantizer. As released, D takes the teacher's
images for real and a buffer of the last fifty student images for fake.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import torch

from edgegan.compress.distill import Batch, judged
from edgegan.compress.losses import (
    FeatureMaps,
    gradient_l1,
    lsgan_discriminator,
    lsgan_generator,
)
from edgegan.config import Distill
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec

REPLAY_IMAGES = 50

Terms = dict[str, torch.Tensor]


@dataclass
class Judge:
    """A discriminator, its optimiser, and the student's images it is shown again."""

    spec: PatchSpec
    module: PatchDiscriminator
    optimizer: torch.optim.Optimizer
    replay: list[torch.Tensor] = field(default_factory=list)

    def opinion(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        """The generator's adversarial term (LSGAN)."""
        self.module.requires_grad_(False)
        return lsgan_generator(self.module(judged(self.spec, batch.x, output)))

    def learn(self, batch: Batch, output: torch.Tensor, chance: random.Random) -> torch.Tensor:
        """One discriminator step; returns its loss."""
        self.module.requires_grad_(True)
        real = self.module(judged(self.spec, batch.x, batch.teacher))
        fake = self.module(self.replayed(judged(self.spec, batch.x, output.detach()), chance))
        loss = lsgan_discriminator(real, fake)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def replayed(self, images: torch.Tensor, chance: random.Random) -> torch.Tensor:
        """Each image, or with probability a half an older one in its place (CycleGAN's buffer), in half precision."""
        shown = []
        for image in images.half():
            if len(self.replay) < REPLAY_IMAGES:
                self.replay.append(image)
            elif chance.random() < 0.5:
                place = chance.randrange(REPLAY_IMAGES)
                self.replay[place], image = image, self.replay[place]
            shown.append(image)
        return torch.stack(shown).float()

    def state(self) -> dict[str, object]:
        """For a checkpoint."""
        replay = torch.stack(self.replay) if self.replay else None
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "replay": replay,
        }

    def restore(self, state: dict[str, object]) -> None:
        """From a checkpoint."""
        self.module.load_state_dict(state["module"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        replay = state["replay"]
        self.replay = list(replay) if isinstance(replay, torch.Tensor) else []


def distillation(
    output: torch.Tensor,
    features: list[torch.Tensor],
    batch: Batch,
    maps: FeatureMaps | None,
    settings: Distill,
) -> tuple[torch.Tensor, Terms]:
    """The weighted sum of the distillation terms, and the terms."""
    terms = {
        "l1": (output - batch.teacher).abs().mean(),
        "gradient": gradient_l1(output, batch.teacher),
    }
    total = settings.l1_weight * terms["l1"] + settings.gradient_weight * terms["gradient"]
    if maps is not None:
        terms["feature"] = maps(features, batch.features)
        total = total + settings.feature_weight * terms["feature"]
    return total, terms
