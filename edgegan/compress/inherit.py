"""What a student takes over from its teacher beside its outputs: the discriminator, and a network that compares
pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from edgegan.compress.distill import Inherited
from edgegan.errors import ConfigError
from edgegan.metrics.perceptual import (
    PerceptualNetwork,
    module_network,
    open_perceptual,
    perceptual_loss,
)
from edgegan.models.discriminator import PatchSpec
from edgegan.models.judges import load_judge
from edgegan.models.zoo import load_generator
from edgegan.recipe.schema import Distill


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
    name = settings.perceptual
    if name == "teacher":
        config, module = load_generator(teacher)
        if config.input.kind != "image" or config.input.channels != config.output.channels:
            raise ConfigError(
                f"distill.perceptual teacher: {teacher} does not take the pictures it makes; set it to discriminator, "
                "vgg16:FILE or squeezenet:FILE"
            )
        return module_network(name, module.to(device).requires_grad_(False), taps)
    if name == "discriminator":
        spec, judge = load_judge(teacher)
        if not isinstance(spec, PatchSpec) or spec.conditional:
            raise ConfigError(
                f"distill.perceptual discriminator: that of {teacher} does not judge pictures alone; set it to "
                "teacher, vgg16:FILE or squeezenet:FILE"
            )
        layers = [
            f"model.{index}"
            for index, layer in enumerate(judge.get_submodule("model").children())
            if isinstance(layer, torch.nn.LeakyReLU)
        ]
        return module_network(name, judge.eval().to(device).requires_grad_(False), layers)
    network, separator, file = name.partition(":")
    if not separator or network not in ("vgg16", "squeezenet"):
        raise ConfigError(
            f"distill.perceptual '{name}': write teacher, discriminator, vgg16:FILE or squeezenet:FILE"
        )
    found = open_perceptual(Path(file), device=device)
    if not found.name.startswith(network):
        raise ConfigError(f"distill.perceptual '{name}': {file} holds {found.name}")
    return found
