"""What a generator family is to the rest of the house, and what is wrong with one that forgot something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgegan.channels.graph import trace_channels
from edgegan.errors import ConfigError
from edgegan.models.matching import Imported
from edgegan.models.spec import Spec
from edgegan.models.taps import tap_modules
from edgegan.package import input_shape
from edgegan.weights import State


def nothing_kept(_state: State) -> dict[str, Any]:
    """The layout of a family whose public files are the same for a net that was cut."""
    return {}


@dataclass(frozen=True)
class Keymap:
    """One family's public form: how its keys are recognised, read into ours, and written back.

    `example` names it to people, with a key. Where GAN Compression publishes super nets, `sub_network` gives the spec
    that a width config, legacy or not, means of a net, or None; `cut_layout` what only the way back needs of the state,
    in our names, that such a sub-network was cut from.
    """

    recognises: Callable[[State], bool]
    read: Callable[[State, Path], Imported]
    write: Callable[[Imported], State]
    example: str
    sub_network: Callable[[Spec, str, bool], Spec | None] | None = None
    cut_layout: Callable[[State], dict[str, Any]] = nothing_kept


@dataclass(frozen=True)
class Published:
    """A published generator: the name it is known by, the size its figures are quoted at, where it is from."""

    name: str
    spec: Spec
    size: tuple[int, int]
    source: str


@dataclass(frozen=True)
class Family:
    """Everything that the rest of the house asks of a family.

    The spec class states widths by channel group, inputs and outputs, image sides and how students narrow; its module
    states its taps. `trial` is a small network, and the height and width of its images, to try the family with.
    """

    name: str
    spec: type[Spec]
    keymap: Keymap
    published: tuple[Published, ...]
    trial: tuple[Spec, tuple[int, int]]


def check_family(family: Family) -> None:
    """Raises ConfigError saying what a family forgot: a key map's example, a published shape, a name that the spec
    does not answer, the width field of a channel group, taps that are modules."""
    problem = forgotten(family)
    if problem:
        raise ConfigError(f"family {family.name}: {problem}")


def forgotten(family: Family) -> str | None:
    """The first thing that a family forgot; None for a whole one. Takes as long as tracing its trial network."""
    spec, size = family.trial
    if not family.keymap.example:
        return "its key map has no example of a key"
    if not family.published:
        return "it has no published generator"
    for each in (spec, *(published.spec for published in family.published)):
        if type(each) is not family.spec:
            return f"a spec is a {type(each).__name__}, not a {family.spec.__name__}"
    missing = [name for name in ("in_channels", "out_channels", "norm") if not hasattr(spec, name)]
    if missing:
        return f"{family.spec.__name__} has no '{missing[0]}'"
    fields = family.spec.model_fields
    unknown = [width.field for width in family.spec.WIDTHS if width.field not in fields]
    if unknown:
        return f"{family.spec.__name__} has no field '{unknown[0]}', which its WIDTHS name"
    return forgotten_in_network(spec, size)


def forgotten_in_network(spec: Spec, size: tuple[int, int]) -> str | None:
    """The first channel group without a width, or wrong tap, of a network built from a spec."""
    module = spec.build().eval()
    example = torch.zeros(input_shape(spec.takes, size))
    graph = trace_channels(module, example)
    widths = {group.name: group.size for group in graph.free()}
    try:
        plan = spec.plan(graph)
    except ConfigError as error:
        return f"{error}; state it in WIDTHS"
    wrong = [name for name, width in widths.items() if plan[name] != width]
    if wrong:
        return f"WIDTHS gives channel group '{wrong[0]}' {plan[wrong[0]]} channels, not {widths[wrong[0]]}"
    layers = dict(module.named_modules())
    strange = [tap for tap in tap_modules(module, example) if tap not in layers]
    return f"its taps name '{strange[0]}', which is no module" if strange else None
