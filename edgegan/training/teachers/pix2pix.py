"""pix2pix (Isola et al., CVPR 2017): a conditional PatchGAN and an L1 term on pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgegan.models.judges import verdicts
from edgegan.training.teachers.adversarial import fake_loss, fool_loss, real_loss
from edgegan.training.teachers.paired import Paired, Terms
from edgegan.training.teachers.parts import apply_gradients


def pix2pix_step(nets: Paired, x: torch.Tensor, y: torch.Tensor) -> Terms:
    """The discriminator's step, then the generator's."""
    train, mode = nets.train, nets.train.gan_mode
    made = nets.generator(x)

    nets.judge.requires_grad_(True)
    real = real_loss(mode, verdicts(nets.judge(torch.cat([x, y], 1))))
    fake = fake_loss(mode, verdicts(nets.judge(torch.cat([x, made.detach()], 1))))
    apply_gradients(nets.parts.judges_adam, 0.5 * (real + fake))

    nets.judge.requires_grad_(False)
    terms = {"gan": fool_loss(mode, verdicts(nets.judge(torch.cat([x, made], 1))))}
    terms["l1"] = F.l1_loss(made, y)
    loss = terms["gan"] + train.l1_weight * terms["l1"]
    if nets.perceptual is not None:
        terms["perceptual"] = nets.perceptual(made, y)
        loss = loss + train.perceptual_weight * terms["perceptual"]
    apply_gradients(nets.parts.generators_adam, loss)
    return {"loss": loss, **terms, "discriminator_real": real, "discriminator_fake": fake}
