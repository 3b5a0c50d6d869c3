"""pix2pix (Isola et al., CVPR 2017): a conditional PatchGAN and an L1 term on pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgegan.training.loop import Terms
from edgegan.training.losses import gradient_l1
from edgegan.training.optimizers import step_down
from edgegan.training.teachers.paired import Paired


def pix2pix_step(nets: Paired, x: torch.Tensor, y: torch.Tensor) -> Terms:
    """The discriminator's step, then the generator's."""
    train = nets.train
    made = nets.generator(x)

    real, fake = nets.judge.on_real(x, y), nets.judge.on_fake(x, made)
    step_down(nets.judge.optimizer, 0.5 * (real + fake))

    terms = {"gan": nets.judge.fooled_by(x, made), "l1": F.l1_loss(made, y)}
    loss = terms["gan"] + train.l1_weight * terms["l1"]
    if train.gradient_weight > 0:
        terms["gradient"] = gradient_l1(made, y)
        loss = loss + train.gradient_weight * terms["gradient"]
    if nets.perceptual is not None:
        terms["perceptual"] = nets.perceptual(made, y)
        loss = loss + train.perceptual_weight * terms["perceptual"]
    step_down(nets.parts.optimizer, loss)
    return {"loss": loss, **terms, "discriminator_real": real, "discriminator_fake": fake}
