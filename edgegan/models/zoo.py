"""Every generator family in one dictionary, and the way from a package to a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from edgegan.errors import CheckpointError, ConfigError, InputError, first_problem, nearest
from edgegan.models.animegan.network import AnimeGenerator, AnimeSpec
from edgegan.models.cartoon.network import CartoonGenerator, CartoonSpec
from edgegan.models.custom import CustomSpec, build_custom
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec
from edgegan.models.sngan.network import SnganGenerator, SnganSpec
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.transformer_net.network import TransformerGenerator, TransformerSpec
from edgegan.models.unet.network import UnetGenerator, UnetSpec
from edgegan.package import (
    ImageIO,
    InputIO,
    LabelMapIO,
    NoiseIO,
    PackageConfig,
    read_config,
    read_tensors,
)


@dataclass(frozen=True)
class Family:
    """How to build a generator: its spec class and its module class. Image sides are multiples of `stride`, at least
    `min_size`, unless the spec itself states `stride` and `min_size`."""

    spec: type[BaseModel]
    module: Callable[[Any], nn.Module]
    stride: int
    min_size: int


def entry(spec: type[BaseModel], module: Any) -> Family:
    """An entry whose image sides are the module's own constants."""
    return Family(spec, module, module.STRIDE, module.MIN_SIZE)


FAMILIES = {
    "resnet": entry(ResnetSpec, ResnetGenerator),
    "unet": entry(UnetSpec, UnetGenerator),
    "spade": entry(SpadeSpec, SpadeGenerator),
    "cartoon": entry(CartoonSpec, CartoonGenerator),
    "transformer_net": entry(TransformerSpec, TransformerGenerator),
    "animegan": entry(AnimeSpec, AnimeGenerator),
    "sngan": entry(SnganSpec, SnganGenerator),
}
CUSTOM = "custom"
EVERY_FAMILY = FAMILIES | {CUSTOM: Family(CustomSpec, build_custom, stride=1, min_size=1)}


def get_family(name: str) -> Family:
    """The family of this name; raises ConfigError with the nearest one."""
    if name not in EVERY_FAMILY:
        raise ConfigError(
            f"unknown family '{name}'{nearest(name, FAMILIES)}; families: {', '.join(FAMILIES)}"
        )
    return EVERY_FAMILY[name]


def parse_spec(family: str, spec: dict[str, Any]) -> BaseModel:
    """Validates a spec dictionary; raises ConfigError naming the key."""
    try:
        return get_family(family).spec.model_validate(spec)
    except ValidationError as error:
        raise ConfigError(f"spec of family {family}: {first_problem(error)}") from error


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


def image_sides(family: str, spec: BaseModel | None = None) -> tuple[int, int]:
    """What heights and widths must be multiples of, and the smallest: of any spec, or of this one."""
    entry = get_family(family)
    return getattr(spec, "stride", entry.stride), getattr(spec, "min_size", entry.min_size)


def check_size(family: str, size: tuple[int, int], spec: BaseModel | None = None) -> None:
    """Raises InputError when the family, with this spec if given, has no images of this height and width."""
    stride, smallest = image_sides(family, spec)
    height, width = size
    fixed = getattr(spec, "size", None)
    if fixed is not None and (height, width) != fixed:
        raise InputError(
            f"family {family} with this spec makes images of {fixed[0]}x{fixed[1]} only, not {height}x{width}"
        )
    if height % stride or width % stride or min(size) < smallest:
        raise InputError(
            f"family {family} takes heights and widths that are multiples of {stride} and at least {smallest}, "
            f"not {height}x{width}"
        )


def check_package_size(config: PackageConfig, size: tuple[int, int]) -> None:
    """`check_size` for the generator of a package."""
    check_size(config.family, size, parse_spec(config.family, config.spec))


def describe_io(spec: BaseModel) -> tuple[InputIO, ImageIO]:
    """What a generator of this spec takes and gives."""
    output = image_io(spec.out_channels)  # type: ignore[attr-defined]
    if isinstance(spec, SpadeSpec):
        return LabelMapIO(classes=spec.classes, instance_edge=spec.instance_edge), output
    if isinstance(spec, SnganSpec):
        return NoiseIO(dimension=spec.latent), output
    return image_io(spec.in_channels), output  # type: ignore[attr-defined]


def image_io(channels: int) -> ImageIO:
    """The usual meaning of this many channels."""
    return ImageIO(
        channels=channels, colour="rgb" if channels == 3 else "grey" if channels == 1 else "other"
    )


def count_parameters(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def make_golden(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Golden tensors of a package: inputs (N, C, H, W) or (N, dimension), and what the module makes of each alone."""
    with torch.inference_mode():
        output = torch.cat([module(image[None]) for image in images])
    return {"input": images.clone(), "output": output.clone()}
