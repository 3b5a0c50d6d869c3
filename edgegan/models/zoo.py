"""Every generator family in one dictionary, and the way from a package to a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from edgegan.errors import CheckpointError, ConfigError, InputError, nearest
from edgegan.models.cartoon import CartoonGenerator, CartoonSpec
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.resnet import ResnetGenerator, ResnetSpec
from edgegan.package import PackageConfig, read_config, read_tensors


@dataclass(frozen=True)
class Family:
    """How to build a generator: its spec class and its module class."""

    spec: type[BaseModel]
    module: Callable[[Any], nn.Module]
    stride: int
    min_size: int


FAMILIES = {
    "resnet": Family(ResnetSpec, ResnetGenerator, ResnetGenerator.STRIDE, ResnetGenerator.MIN_SIZE),
    "cartoon": Family(
        CartoonSpec, CartoonGenerator, CartoonGenerator.STRIDE, CartoonGenerator.MIN_SIZE
    ),
}


def get_family(name: str) -> Family:
    """The family of this name; raises ConfigError with the nearest one."""
    if name not in FAMILIES:
        raise ConfigError(
            f"unknown family '{name}'{nearest(name, FAMILIES)}; families: {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def parse_spec(family: str, spec: dict[str, Any]) -> BaseModel:
    """Validates a spec dictionary; raises ConfigError naming the key."""
    try:
        return get_family(family).spec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"spec of family {family}: {key}: {first['msg']}") from error


def build(family: str, spec: dict[str, Any] | BaseModel) -> nn.Module:
    """A generator with fresh weights."""
    parsed = spec if isinstance(spec, BaseModel) else parse_spec(family, spec)
    return get_family(family).module(parsed)


def load_generator(folder: Path) -> tuple[PackageConfig, nn.Module]:
    """A package's generator in evaluation mode; raises InputError or IntegrityError naming the file."""
    config = read_config(folder)
    module = build(config.family, config.spec)
    try:
        module.load_state_dict(read_tensors(folder, config, "model.safetensors"))
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: weights do not fit its config.json ({error}); import the checkpoint again"
        ) from error
    return config, module.eval()


def load_discriminator(folder: Path) -> tuple[PatchSpec, PatchDiscriminator]:
    """A package's kept discriminator; raises InputError when it has none."""
    config = read_config(folder)
    if config.discriminator is None:
        raise InputError(
            f"{folder} keeps no discriminator; import it with --discriminator CKPT, or set distill.gan_weight to 0"
        )
    spec = PatchSpec.model_validate(config.discriminator)
    module = PatchDiscriminator(spec)
    module.load_state_dict(read_tensors(folder, config, "discriminator.safetensors"))
    return spec, module


def check_size(family: str, size: tuple[int, int]) -> None:
    """Raises InputError when the family cannot take images of this height and width."""
    entry = get_family(family)
    height, width = size
    if height % entry.stride or width % entry.stride or min(size) < entry.min_size:
        raise InputError(
            f"family {family} takes heights and widths that are multiples of {entry.stride} and at least "
            f"{entry.min_size}, not {height}x{width}"
        )


def count_parameters(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def make_golden(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Golden tensors of a package: the images (N, C, H, W) and what the module makes of each, one at a time."""
    with torch.inference_mode():
        output = torch.cat([module(image[None]) for image in images])
    return {"input": images.clone(), "output": output.clone()}
