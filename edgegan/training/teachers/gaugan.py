"""GauGAN (Park et al., CVPR 2019): SPADE generator, multiscale hinge discriminator, feature matching."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgegan.models.judges import inner_maps, verdicts
from edgegan.training.loop import Terms
from edgegan.training.losses import fake_loss, feature_matching, fool_loss, real_loss
from edgegan.training.optimizers import step_down
from edgegan.training.teachers.paired import Paired

Maps = list[list[torch.Tensor]]


def gaugan_step(nets: Paired, x: torch.Tensor, y: torch.Tensor) -> Terms:
    """The generator's step, then the discriminator's. The term "l1" is watched, not trained on."""
    train, judge, mode = nets.train, nets.judge.module, nets.judge.mode
    made = nets.generator(x)

    judge.requires_grad_(False)
    fake, real = judge_both(judge, x, made, y)
    terms = {"gan": fool_loss(mode, verdicts(fake))}
    loss = terms["gan"]
    if train.feature_weight > 0:
        terms["feature"] = feature_matching(inner_maps(fake), inner_maps(real))
        loss = loss + train.feature_weight * terms["feature"]
    if nets.perceptual is not None:
        terms["perceptual"] = nets.perceptual(made, y)
        loss = loss + train.perceptual_weight * terms["perceptual"]
    terms["l1"] = F.l1_loss(made.detach(), y)
    step_down(nets.parts.optimizer, loss)

    judge.requires_grad_(True)
    fake, real = judge_both(judge, x, made.detach(), y)
    on_real, on_fake = real_loss(mode, verdicts(real)), fake_loss(mode, verdicts(fake))
    step_down(nets.judge.optimizer, on_real + on_fake)
    return {"loss": loss, **terms, "discriminator_real": on_real, "discriminator_fake": on_fake}


def judge_both(
    judge: nn.Module, x: torch.Tensor, made: torch.Tensor, y: torch.Tensor
) -> tuple[Maps, Maps]:
    """What the discriminator returns for made and for real pictures, from one pass and so with the same weights."""
    both: Maps = judge(torch.cat([torch.cat([x, made], 1), torch.cat([x, y], 1)]))
    count = len(x)
    fake = [[values[:count] for values in scale] for scale in both]
    return fake, [[values[count:] for values in scale] for scale in both]
