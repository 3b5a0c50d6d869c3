"""A package's own networks as a perceptual network: its generator's features, or its discriminator's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from edgegan.errors import ConfigError, InputError
from edgegan.metrics.perceptual import PerceptualNetwork
from edgegan.models.discriminator import PatchSpec
from edgegan.models.judges import feature_maps, load_judge
from edgegan.models.recording import hooked
from edgegan.models.taps import tap_modules
from edgegan.models.zoo import load_generator

OWN_NETWORKS = ("teacher", "discriminator")


def own_network(
    name: str,
    teacher: Path,
    channels: int,
    option: str,
    *,
    taps: list[str] | None = None,
    device: torch.device | None = None,
) -> PerceptualNetwork:
    """The `teacher` at its taps (all that it has unless some are given), or its `discriminator` after each activation.

    Raises ConfigError naming `option` where the network does not take pictures (N, channels, H, W) alone.
    """
    elsewhere = f"set {option} to another network"
    if name == "discriminator":
        spec, judge = load_judge(teacher)
        if not isinstance(spec, PatchSpec) or spec.conditional or spec.in_channels != channels:
            raise ConfigError(
                f"{option} discriminator: that of {teacher} does not judge pictures of {channels} channels alone; "
                f"{elsewhere}"
            )
        judge.eval().to(device).requires_grad_(False)
        return PerceptualNetwork(name, None, lambda x: feature_maps(judge, x)[0])
    config, module = load_generator(teacher)
    if config.input.kind != "image" or config.input.channels != channels:
        raise ConfigError(
            f"{option} teacher: {teacher} does not take pictures of {channels} channels; {elsewhere}"
        )
    if taps is None:
        taps = tap_modules(module, torch.zeros(1, channels, *config.size))
    return module_network(name, module.to(device).requires_grad_(False), taps)


def module_network(name: str, module: nn.Module, taps: list[str]) -> PerceptualNetwork:
    """Outputs of any module's submodules at `taps`, such as a teacher's trunk or its discriminator's layers."""
    if not taps:
        raise InputError(
            f"{name} has no taps to compare pictures at; give another perceptual network"
        )

    def features(x: torch.Tensor) -> list[torch.Tensor]:
        with hooked(module, taps) as recorded:
            module(x)
            return [recorded[tap] for tap in taps]

    return PerceptualNetwork(name, None, features)
