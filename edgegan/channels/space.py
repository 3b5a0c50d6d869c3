"""Which widths a search may choose, and how they are written: by group, or as a family's spec and
config string."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from pydantic import BaseModel

from edgegan.channels.graph import ChannelGraph
from edgegan.errors import ConfigError
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec

Space = dict[str, tuple[int, ...]]
Widths = dict[str, int]
Spec = TypeVar("Spec", bound=BaseModel)

SPADE_UNITS = (16, 16, 16, 8, 4, 2, 1)
BLOCK = (r"blocks\.(\d+)\.conv1(?:\.pointwise)?", "inner", 0)
ENDS: list[tuple[str, str, int | None]] = [
    ("stem", "stem", None),
    ("down1", "down", None),
    ("down2", "trunk", None),
]
STAGES = ("down1", "down2", "up1", "up2")
# For each family: names of groups, the spec field, and where a tuple's index starts counting (None: a plain number).
FIELDS: dict[type[BaseModel], list[tuple[str, str, int | None]]] = {
    ResnetSpec: [*ENDS, BLOCK, (r"up(\d)", "up", -1)],
    CartoonSpec: [ENDS[0], BLOCK, *((rf"{name}\.(\d)", name, 0) for name in STAGES)],
    TransformerSpec: [
        *((rf"{pattern}\.conv", field, None) for pattern, field, _ in ENDS),
        BLOCK,
        (r"up(\d)\.conv", "up", -1),
    ],
    UnetSpec: [(r"down\.(\d+)", "down", 0), (r"up\.(\d+)", "up", 0)],
    SnganSpec: [
        ("linear", "stem", None),
        (r"blocks\.(\d+)\.conv1", "inner", 0),
        (r"blocks\.(\d+)\.conv2", "width", 0),
    ],
    AnimeSpec: [
        (r"stem\.conv", "stem", None),
        (r"down1\.conv", "half", 0),
        (r"at_half\.conv", "half", 1),
        (r"down2\.conv", "quarter", 0),
        (r"at_quarter\.(\d)\.conv", "quarter", 1),
        (r"blocks\.(\d+)\.widen\.conv", "expanded", 0),
        (r"blocks\.0\.narrow", "trunk", None),
        (r"narrow\.conv", "narrow", None),
        (r"up1\.(\d)\.conv", "up1", -1),
        (r"up2\.(\d)\.conv", "up2", -1),
    ],
    SpadeSpec: [
        ("stem", "trunk", None),
        (r"head\.conv1", "inner", 0),
        (r"middle(\d)\.conv1", "inner", 1),
        (r"up(\d)\.conv1", "inner", 3),
        (r"up(\d)\.conv2", "up", 0),
        (r"head\.\w+\.shared", "hidden", 0),
        (r"middle(\d)\.\w+\.shared", "hidden", 1),
        (r"up(\d)\.\w+\.shared", "hidden", 3),
    ],
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


def random_config(choices: Sequence[Sequence[int]], seed: int) -> str:
    """A GAN Compression config string with one choice at each place; `from_config` of the spec
    reads it."""
    generator = random.Random(seed)
    return "_".join(str(generator.choice(each)) for each in choices)


def config_of(spec: ResnetSpec | SpadeSpec) -> str:
    """The eight numbers "c0_..._c7" of a spec (Li et al. 2020), the inverse of its `from_config`.

    Raises ConfigError when its widths are not of that form.
    """
    if isinstance(spec, SpadeSpec):
        numbers = [width // unit for width, unit in zip(spec.inner, SPADE_UNITS, strict=True)]
        config = "_".join(map(str, [spec.trunk // 16, *numbers]))
    else:
        inner = [spec.inner[third * len(spec.inner) // 3] // 4 for third in range(3)]
        ends = [spec.up[0] // 2, spec.up[1]]
        numbers = [spec.stem, spec.down // 2, spec.trunk // 4, *inner, *ends]
        config = "_".join(map(str, numbers))
    if widths_of(type(spec).from_config(config)) != widths_of(spec):
        raise ConfigError("these widths cannot be written as eight numbers; write the spec")
    return config


def widths_of(spec: BaseModel) -> dict[str, object]:
    """The fields of a spec that hold widths."""
    return {field: getattr(spec, field) for _, field, _ in FIELDS[type(spec)]}


def plan_of(spec: BaseModel, graph: ChannelGraph) -> Widths:
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


def spec_of(spec: Spec, graph: ChannelGraph, plan: Mapping[str, int | torch.Tensor]) -> Spec:
    """The spec of the sub-network that a plan makes of a generator of spec `spec`.

    What `extract` makes then loads into `build(family, spec)`. A residual block of inner width 0 is
    left out, which is right where the block is worth nothing (`renumber_blocks` gives the names
    then). Raises ConfigError where the spec has one number for groups that the plan gives different
    widths (SPADE's `hidden`), and for unknown groups.
    """
    for name in plan:
        field_of(type(spec), name)
    values = spec.model_dump()
    chosen: dict[tuple[str, int | None], int] = {}
    for group in graph.free():
        choice = plan.get(group.name, group.size)
        width = choice if isinstance(choice, int) else len(choice)
        place = field, index = field_of(type(spec), group.name)
        if chosen.setdefault(place, width) != width:
            raise ConfigError(
                f"group '{group.name}' has {width} channels, but {type(spec).__name__}.{field} holds one number for "
                f"it and a group of {chosen[place]}; give them one width"
            )
        row = list(values[field]) if index is not None else []
        values[field] = width if index is None else (*row[:index], width, *row[index + 1 :])
    if BLOCK in FIELDS[type(spec)]:
        values["inner"] = tuple(width for width in values["inner"] if width)
    return type(spec).model_validate(values)


def field_of(spec: type[BaseModel], group: str) -> tuple[str, int | None]:
    """The spec field of a group, and the place in it; raises ConfigError."""
    for pattern, field, first in FIELDS.get(spec, []):
        match = re.fullmatch(pattern, group)
        if match:
            return field, None if first is None else first + int((*match.groups(), 0)[0])
    raise ConfigError(f"{spec.__name__} has no width for channel group '{group}'")


def renumber_blocks(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict whose residual blocks are numbered without gaps, after empty ones went."""
    found = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    number = {old: new for new, old in enumerate(sorted(found))}
    return {
        re.sub(r"^blocks\.(\d+)\.", lambda match: f"blocks.{number[int(match[1])]}.", name): value
        for name, value in state.items()
    }
