"""Which of a training file's parts is the generator: averages before raw weights, generators before judges, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from edgegan.errors import CheckpointError, nearest

AVERAGES = ("params_ema", "g_ema", "G_ema", "ema", "model_ema", "avg_gen_state_dict")
MOST_NESTED = 32
PREFIXES = ("module.", "_orig_mod.")
GENERATOR = re.compile(
    r"(net_?G(_\w+)?|generator(_\w+)?|gen|gen_?[AB]2[AB]|G|G_[AB]|G_?[AB]2[AB]|[gG](en)?_ema)"
)


def generator_names(names: set[str]) -> list[str]:
    """Those that name a generator, the averages alone where there are any; sorted."""
    found = sorted(name for name in names if GENERATOR.fullmatch(name))
    return [name for name in found if name.endswith("_ema")] or found


def choose(names: list[str], every: set[str], path: Path) -> str:
    """The only generator of a file; raises CheckpointError that lists several, and how one is chosen."""
    if len(names) == 1:
        return names[0]
    listed = ", ".join(sorted(every)[:12])
    example = (names or sorted(every))[0]
    raise CheckpointError(
        f"{path} holds several parts: {listed}; choose the generator by its name, such as --part {example}"
    )


def choose_mapping(raw: Mapping[Any, Any], path: Path, notes: list[str]) -> str | None:
    """The entry of a container without tensors of its own that is the generator; None where no entry holds tensors."""
    inside = {str(key) for key, value in raw.items() if holds_tensors(value)}
    if not inside:
        return None
    name = choose(generator_names(inside) or sorted(inside), inside, path)
    say_chosen(name, inside, notes)
    return name


def holds_tensors(value: object, nesting: int = 0) -> bool:
    """Whether this is a mapping with tensors in it, or in mappings of it."""
    if not isinstance(value, Mapping) or nesting > MOST_NESTED:
        return False
    return any(
        isinstance(each, torch.Tensor) or holds_tensors(each, nesting + 1)
        for each in value.values()
    )


def say_chosen(name: str, names: set[str], notes: list[str]) -> None:
    """Notes which part was taken, beside which others."""
    others = ", ".join(sorted(names - {name})[:6])
    if others:
        notes.append(f"'{name}' was taken; also in the file: {others} (--part chooses)")


def take_part(raw: Mapping[Any, Any], part: str, path: Path, nesting: int = 0) -> Mapping[Any, Any]:
    """The entry, or the tensors under the prefix, that the user named; raises CheckpointError listing what there is."""
    for key, value in raw.items():
        if str(key) == part and isinstance(value, Mapping):
            return value
    under = {
        str(key)[len(part) + 1 :]: value
        for key, value in raw.items()
        if str(key).startswith(f"{part}.")
    }
    if under:
        return under
    for value in raw.values():
        if isinstance(value, Mapping) and nesting < MOST_NESTED:
            with suppress(CheckpointError):
                return take_part(value, part, path, nesting + 1)
    names = {str(key).split(".")[0] for key in raw}
    raise CheckpointError(
        f"{path} has no part '{part}'{nearest(part, names)}; it holds: {', '.join(sorted(names)[:12])}"
    )


def strip(key: str) -> str:
    """A key without what wrappers of the whole module put before it."""
    while any(key.startswith(each) for each in PREFIXES):
        for each in PREFIXES:
            key = key.removeprefix(each)
    return key


def under_prefix(
    state: dict[str, torch.Tensor], path: Path, notes: list[str]
) -> dict[str, torch.Tensor]:
    """The generator of a class that holds it beside others (netG.model.1.weight); the same where there is no such."""
    heads = {key.split(".")[0] for key in state}
    found = generator_names(heads)
    if not found:
        return state
    name = choose(found, heads, path)
    say_chosen(name, heads, notes)
    prefix = f"{name}."
    return {
        strip(key.removeprefix(prefix)): value
        for key, value in state.items()
        if key.startswith(prefix)
    }
