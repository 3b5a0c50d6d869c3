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
from edgegan.models.discriminator import PatchSpec
from edgegan.models.judges import JudgeSpec, build_judge, load_judge
from edgegan.models.own_features import OWN_NETWORKS, own_network
from edgegan.package import read_config
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.schema import Recipe

FILES = ("vgg16", "squeezenet")


@dataclass(frozen=True)
class Inherited:
    """The discriminator with its spec, and the perceptual term; None where the student is trained without.

    `teacher_is_real`: the discriminator takes the teacher's pictures for real even where there are true ones.
    """

    judge: tuple[JudgeSpec, nn.Module] | None = None
    perceptual: Perceptual | None = None
    teacher_is_real: bool = False


def inherits_judge(settings: Distill) -> bool:
    """Whether the student is trained with its teacher's discriminator."""
    return settings.gan_weight > 0 and settings.discriminator == "inherited"


def inherit(teacher: Path, recipe: Recipe, taps: list[str], device: torch.device) -> Inherited:
    """The teacher's discriminator, or a fresh one, and the network of the perceptual term, where their weights are not
    0."""
    settings = recipe.distill
    judge = load_judge(teacher) if inherits_judge(settings) else None
    fresh = settings.gan_weight > 0 and judge is None
    if fresh:
        judge = fresh_judge(teacher, recipe.seed)
    perceptual = None
    if settings.perceptual_weight > 0:
        perceptual = perceptual_loss(perceptual_network(teacher, settings, taps, device))
    return Inherited(judge, perceptual, teacher_is_real=fresh)


def fresh_judge(teacher: Path, seed: int) -> tuple[JudgeSpec, nn.Module]:
    """A PatchGAN with random weights for the pictures of a teacher."""
    config = read_config(teacher)
    torch.manual_seed(seed)
    spec = PatchSpec(in_channels=config.output.channels, layers=1 if min(config.size) < 64 else 3)
    return spec, build_judge(spec)


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
