"""What a student takes over from its teacher: the discriminator, and the network that looks at its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgegan.errors import ConfigError
from edgegan.metrics.perceptual import (
    Perceptual,
    PerceptualNetwork,
    open_perceptual,
    perceptual_loss,
)
from edgegan.models.judges import JudgeSpec, load_judge
from edgegan.models.own_features import OWN_NETWORKS, own_network
from edgegan.package import read_config
from edgegan.recipe.distill_section import Distill

FILES = ("vgg16", "squeezenet")


@dataclass(frozen=True)
class Inherited:
    """The discriminator with its spec, and the perceptual term; None where the student is trained without.

    `teacher_is_real`: the discriminator takes the teacher's pictures for real even where there are true ones.
    """

    judge: tuple[JudgeSpec, nn.Module] | None = None
    perceptual: Perceptual | None = None
    teacher_is_real: bool = False


def inherit(teacher: Path, settings: Distill, taps: list[str], device: torch.device) -> Inherited:
    """The teacher's discriminator and the network of the perceptual term, where their weights are not 0."""
    judge = load_judge(teacher) if settings.gan_weight > 0 else None
    if settings.perceptual_weight == 0:
        return Inherited(judge)
    return Inherited(judge, perceptual_loss(perceptual_network(teacher, settings, taps, device)))


def perceptual_network(
    teacher: Path, settings: Distill, taps: list[str], device: torch.device
) -> PerceptualNetwork:
    """The network that `distill.perceptual` names; raises ConfigError where it cannot judge pictures alone."""
    name, key = settings.perceptual, "distill.perceptual"
    if name in OWN_NETWORKS:
        channels = read_config(teacher).output.channels
        return own_network(name, teacher, channels, key, taps=taps, device=device)
    network, separator, file = name.partition(":")
    if not separator or network not in FILES:
        raise ConfigError(
            f"{key} '{name}': write teacher, discriminator, vgg16:FILE or squeezenet:FILE"
        )
    found = open_perceptual(Path(file), device=device)
    if not found.name.startswith(network):
        raise ConfigError(f"{key} '{name}': {file} holds {found.name}")
    return found
