"""Which widths a search may choose, and how they are written: by group, or as GAN Compression's
"16_24_..." configs."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch

from edgegan.channels.graph import ChannelGraph
from edgegan.errors import ConfigError
from edgegan.models.cartoon import CartoonSpec
from edgegan.models.resnet import ResnetSpec

Space = dict[str, tuple[int, ...]]
Widths = dict[str, int]
Spec = TypeVar("Spec", ResnetSpec, CartoonSpec)

BLOCK = r"blocks\.(\d+)\.conv1(?:\.pointwise)?"
FIELDS: dict[type, dict[str, str]] = {
    ResnetSpec: {
        "stem": "stem",
        "down1": "down",
        "down2": "trunk",
        BLOCK: "inner",
        r"up([12])": "up",
    },
    CartoonSpec: {
        "stem": "stem",
        r"down1\.(\d)": "down1",
        r"down2\.(\d)": "down2",
        BLOCK: "inner",
        r"up1\.(\d)": "up1",
        r"up2\.(\d)": "up2",
    },
}


def width_choices(graph: ChannelGraph, smallest: float = 0.25, round_to: int = 8) -> Space:
    """For each free group the multiples of `round_to` from `smallest` of its width up, and the
    width itself."""
    space = {}
    for group in graph.free():
        low = max(1, math.ceil(group.size * smallest / round_to))
        steps = range(low * round_to, group.size, round_to)
        space[group.name] = (*steps, group.size)
    return space


def count_plans(space: Space) -> int:
    """How many plans a space holds."""
    return math.prod(len(choices) for choices in space.values())


def largest(space: Space) -> Widths:
    """Every group at its widest."""
    return {name: max(choices) for name, choices in space.items()}


def smallest(space: Space) -> Widths:
    """Every group at its narrowest."""
    return {name: min(choices) for name, choices in space.items()}


def random_plan(space: Space, seed: int) -> Widths:
    """One choice for every group, uniform and independent; the same for the same seed."""
    generator = random.Random(seed)
    return {name: generator.choice(choices) for name, choices in space.items()}


def parse_config(text: str) -> tuple[int, ...]:
    """GAN Compression's "32_32_48_32_48_48_16_16" (or its older six numbers) as integers; raises
    ConfigError."""
    parts = text.split("_")
    if len(parts) not in (6, 8) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"'{text}' is not a width config; write 8 (or 6) positive numbers, such as "
            "32_32_48_32_48_48_16_16"
        )
    return tuple(int(part) for part in parts)


def format_config(config: Sequence[int]) -> str:
    """The integers joined by underscores."""
    return "_".join(str(width) for width in config)


def config_spec(config: Sequence[int], blocks: int = 9, **other: object) -> ResnetSpec:
    """The ResNet spec of a config (Li et al. 2020, supernet of 9 blocks).

    Eight numbers: stem c0, down 2 c1, trunk 4 c2, inner 4 c3, 4 c4, 4 c5 for the thirds of the
    blocks, up 2 c6 and c7. Six: one inner 4 c3 for all blocks, up 2 c4 and c5. `other` are further
    fields of ResnetSpec.
    """
    c = tuple(config)
    if len(c) not in (6, 8):
        raise ConfigError(f"a width config has 8 or 6 numbers, not {len(c)}")
    inner = c[3:6] if len(c) == 8 else (c[3],) * 3
    return ResnetSpec.model_validate(
        {
            "stem": c[0],
            "down": 2 * c[1],
            "trunk": 4 * c[2],
            "inner": tuple(4 * inner[3 * index // blocks] for index in range(blocks)),
            "up": (2 * c[-2], c[-1]),
            **other,
        }
    )


def spec_config(spec: ResnetSpec) -> tuple[int, ...]:
    """The eight numbers of a ResNet spec; raises ConfigError when its widths are not of that
    form."""
    blocks = len(spec.inner)
    inner = (
        tuple(spec.inner[(third * blocks + 2) // 3] // 4 for third in range(3)) if blocks else ()
    )
    config = (spec.stem, spec.down // 2, spec.trunk // 4, *inner, spec.up[0] // 2, spec.up[1])
    if len(config) != 8 or widths_of(config_spec(config, blocks)) != widths_of(spec):
        raise ConfigError("these widths cannot be written as eight numbers")
    return config


def widths_of(spec: ResnetSpec) -> tuple[object, ...]:
    """The widths alone."""
    return spec.stem, spec.down, spec.trunk, spec.inner, spec.up


def plan_of(spec: ResnetSpec | CartoonSpec, graph: ChannelGraph) -> Widths:
    """The plan that slices a graph of the same family to a spec's widths; raises ConfigError where
    shapes differ."""
    plan = {}
    for group in graph.free():
        field, index = field_of(type(spec), group.name)
        value = getattr(spec, field)
        try:
            plan[group.name] = value if index is None else value[index]
        except IndexError as error:
            raise ConfigError(f"the spec has no width for group '{group.name}'") from error
    return plan


def spec_of(spec: Spec, plan: Mapping[str, int | torch.Tensor]) -> Spec:
    """The spec of the sub-network that a plan makes of a generator of spec `spec`.

    What `extract` makes then loads into `build(family, spec)`. A block of inner width 0 is left
    out, which is right where the block is worth nothing (`renumber_blocks` gives the names then).
    Raises ConfigError for a plan whose groups are not the family's.
    """
    values = spec.model_dump()
    for name, choice in plan.items():
        field, index = field_of(type(spec), name)
        width = choice if isinstance(choice, int) else len(choice)
        if index is None:
            values[field] = width
        else:
            row = list(values[field])
            row[index] = width
            values[field] = tuple(row)
    values["inner"] = tuple(width for width in values["inner"] if width)
    return type(spec).model_validate(values)


def field_of(spec: type, group: str) -> tuple[str, int | None]:
    """The spec field of a group, and the place in it; raises ConfigError."""
    for pattern, field in FIELDS[spec].items():
        match = re.fullmatch(pattern, group)
        if match:
            index = int(match[1]) if match.groups() else None
            return field, index - 1 if index is not None and pattern == r"up([12])" else index
    raise ConfigError(f"{spec.__name__} has no width for channel group '{group}'")


def renumber_blocks(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict whose residual blocks are numbered without gaps, after empty ones went."""
    found = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    number = {old: new for new, old in enumerate(sorted(found))}
    return {
        re.sub(r"^blocks\.(\d+)\.", lambda match: f"blocks.{number[int(match[1])]}.", name): value
        for name, value in state.items()
    }
