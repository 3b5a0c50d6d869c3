"""A discriminator in training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from edgegan.models.judges import JudgeSpec, feature_maps, judged, verdicts
from edgegan.recipe.train_section import GanMode
from edgegan.training.losses import fake_loss, feature_matching, fool_loss, real_loss
from edgegan.training.optimizers import set_rate
from edgegan.training.schedule import Schedule


@dataclass
class Judge:
    """A discriminator, its optimiser, and the adversarial loss of both sides.

    Every loss takes the input `x` (N, C, H, W) of a generator, which only a conditional discriminator sees, and the
    image (N, C, H, W) to judge, and gives means over scales and places. `decays`: its learning rate follows a schedule.
    """

    spec: JudgeSpec
    module: nn.Module
    optimizer: torch.optim.Optimizer
    mode: GanMode
    decays: bool = False

    def set_rate(self, schedule: Schedule, step: int) -> None:
        """The learning rate of a step, which rises and falls as a generator's of this schedule where it decays."""
        if self.decays:
            own = replace(schedule, learning_rate=self.optimizer.defaults["lr"])
            set_rate(self.optimizer, own.rate(step))

    def __call__(self, x: torch.Tensor, image: torch.Tensor) -> list[torch.Tensor]:
        """Scores of an image, one tensor for each scale."""
        return verdicts(self.module(judged(self.spec, x, image)))

    def fooled_by(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """What a generator minimises. The discriminator gets no gradient from here on."""
        self.module.requires_grad_(False)
        return fool_loss(self.mode, self(x, image))

    def unlike(self, x: torch.Tensor, image: torch.Tensor, genuine: torch.Tensor) -> torch.Tensor:
        """How far its features of an image are from those of a real one, which get no gradient: mean absolute
        differences summed over layers, mean over scales (Wang et al. 2018, equation 4). It gets none itself."""
        self.module.requires_grad_(False)
        with torch.no_grad():
            wanted = feature_maps(self.module, judged(self.spec, x, genuine))
        return feature_matching(feature_maps(self.module, judged(self.spec, x, image)), wanted)

    def on_real(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """What the discriminator minimises on real pictures. It gets gradients from here on."""
        self.module.requires_grad_(True)
        return real_loss(self.mode, self(x, image))

    def on_fake(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """What the discriminator minimises on a generator's pictures, which get no gradient; it does from here on."""
        self.module.requires_grad_(True)
        return fake_loss(self.mode, self(x, image.detach()))
