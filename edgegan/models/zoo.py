"""Every generator family in one dictionary, and the way from a package to a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from edgegan.errors import CheckpointError, ConfigError, InputError, first_problem, nearest
from edgegan.models import families
from edgegan.models.contract import Family
from edgegan.models.custom import CUSTOM, CustomSpec
from edgegan.models.spec import Spec
from edgegan.package import ImageIO, InputIO, PackageConfig, read_config, read_tensors

MOST_WEIGHTS = 2**31
FAMILIES: dict[str, Family] = {
    each.name: each for each in vars(families).values() if isinstance(each, Family)
}


def spec_class(family: str) -> type[Spec]:
    """The spec class of a family, or of the user's own generators; raises ConfigError with the nearest one."""
    if family == CUSTOM:
        return CustomSpec
    if family not in FAMILIES:
        raise ConfigError(
            f"unknown family '{family}'{nearest(family, FAMILIES)}; families: {', '.join(FAMILIES)}"
        )
    return FAMILIES[family].spec


def parse_spec(family: str, spec: Mapping[str, Any]) -> Spec:
    """Validates a spec dictionary; raises ConfigError naming the key."""
    try:
        return spec_class(family).model_validate(spec)
    except ValidationError as error:
        raise ConfigError(f"spec of family {family}: {first_problem(error)}") from error


def change_spec(family: str, spec: Spec, fields: Mapping[str, Any], key: str) -> Spec:
    """The spec with these fields set by hand in a recipe's `key`; raises ConfigError naming a wrong one."""
    known = type(spec).model_fields
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ConfigError(
            f"{key}: family {family} has no '{unknown[0]}'; fields: {', '.join(known)}"
        )
    changed = parse_spec(family, {**spec.model_dump(), **fields})
    if not changed.OWN_CODE and (weights := count_unbuilt(changed.build)) > MOST_WEIGHTS:
        raise ConfigError(
            f"{key}: that makes {weights:,} weights, and no more than {MOST_WEIGHTS:,} can be trained"
        )
    return changed


def build(family: str, spec: Mapping[str, Any] | Spec) -> nn.Module:
    """A generator with fresh weights."""
    return (spec if isinstance(spec, Spec) else parse_spec(family, spec)).build()


def made_size(config: PackageConfig, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what a package's generator makes of an image of these; -1 is any."""
    ratio = parse_spec(config.family, config.spec).ratio
    tall, wide = (side if side == -1 else int(side * ratio) for side in size)
    return tall, wide


def load_generator(folder: Path) -> tuple[PackageConfig, nn.Module]:
    """A package's generator in evaluation mode; raises InputError or IntegrityError naming the file."""
    config = read_config(folder)
    spec = parse_spec(config.family, config.spec)
    weights = read_tensors(folder, config, "model.safetensors")
    if not spec.OWN_CODE:
        refuse_unweighed(spec.build, weights, folder)
    module = build(config.family, spec)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: weights do not fit its config.json ({error}); import the checkpoint again"
        ) from error
    return config, module.eval()


def refuse_unweighed(
    make: Callable[[], nn.Module], weights: Mapping[str, torch.Tensor], folder: Path
) -> None:
    """Raises CheckpointError when a module of a package's config.json has more weights than there are: found before
    they take memory."""
    wanted, held = count_unbuilt(make), sum(value.numel() for value in weights.values())
    if wanted > held:
        raise CheckpointError(
            f"{folder}: weights do not fit its config.json ({wanted:,}, not {held:,}); import the checkpoint again"
        )


def count_unbuilt(make: Callable[[], nn.Module]) -> int:
    """Numbers in the state of a module that is not built."""
    with torch.device("meta"):
        return sum(value.numel() for value in make().state_dict().values())


def image_sides(family: str, spec: Spec | None = None) -> tuple[int, int]:
    """What heights and widths must be multiples of, and the smallest: of this spec, or of the usual one."""
    found = spec or spec_class(family)()
    return found.stride, found.min_size


def trial_size(spec: Spec) -> tuple[int, int]:
    """Height and width of a small picture that a generator takes, of more than a pixel at its deepest level."""
    if spec.size is not None:
        return spec.size
    side = max(64, 2 * spec.min_size)
    return (-(-side // spec.stride) * spec.stride,) * 2


def check_size(family: str, size: tuple[int, int], spec: Spec | None = None) -> None:
    """Raises InputError when the family, with this spec or the usual one, has no images of this height and width."""
    found = spec or spec_class(family)()
    height, width = size
    if found.size is not None and (height, width) != found.size:
        raise InputError(
            f"family {family} with this spec makes images of {found.size[0]}x{found.size[1]} only, not {height}x{width}"
        )
    if height % found.stride or width % found.stride or min(size) < found.min_size:
        raise InputError(
            f"family {family} takes heights and widths that are multiples of {found.stride} and at least "
            f"{found.min_size}, not {height}x{width}"
        )


def check_package_size(config: PackageConfig, size: tuple[int, int]) -> None:
    """`check_size` for the generator of a package."""
    check_size(config.family, size, parse_spec(config.family, config.spec))


def describe_io(spec: Spec) -> tuple[InputIO, ImageIO]:
    """What a generator of this spec takes and gives."""
    return spec.takes, spec.gives


def count_parameters(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def make_golden(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Golden tensors of a package: inputs (N, C, H, W) or (N, dimension), and what the module makes of each alone."""
    with torch.inference_mode():
        output = torch.cat([module(image[None]) for image in images])
    return {"input": images.clone(), "output": output.clone()}
