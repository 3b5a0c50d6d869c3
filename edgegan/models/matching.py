"""What every key map shares: an imported checkpoint, and tensors moved between public names and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgegan.errors import CheckpointError, nearest
from edgegan.models.spec import Spec
from edgegan.recipe.student_section import Norm
from edgegan.weights import State

SHOWN = 8
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Imported:
    """A checkpoint in our names: what `spec.build().load_state_dict(state)` takes.

    `layout` is what only the way back needs, such as which biases the public file does not have; `source` the file's
    own tensors where it was read from one.
    """

    family: str
    spec: Spec
    state: State
    changes: list[str] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    source: State = field(default_factory=dict)


def shape_of(state: Mapping[str, torch.Tensor], key: str, path: Path, dims: int = 4) -> torch.Size:
    """The shape of a weight that the family cannot do without; raises CheckpointError."""
    if key not in state:
        raise CheckpointError(
            f"{path}: missing key '{key}'{nearest(key, state)}; is the file complete?"
        )
    if state[key].dim() != dims:
        raise CheckpointError(
            f"{path}: key '{key}' has shape {tuple(state[key].shape)}, expected {dims} dimensions"
        )
    return state[key].shape


def count_up(exists: Callable[[int], bool]) -> int:
    """How many of 0, 1, 2, ... exist before the first that does not."""
    count = 0
    while exists(count):
        count += 1
    return count


def find_norm(state: State, key: str) -> Norm:
    """The norm whose parameters stand at `key`."""
    if f"{key}.weight" not in state:
        return "instance"
    return "batch" if f"{key}.running_mean" in state else "instance_affine"


def drop_statistics(state: State, changes: list[str]) -> State:
    """Leaves out the running statistics that InstanceNorm layers of old torch versions saved and never used."""
    stale = [key for key in state if key.rsplit(".", 1)[-1] in STATISTICS]
    if stale:
        changes.append(
            f"{len(stale)} running statistics tracked by InstanceNorm layers dropped, as the public loaders of old "
            "InstanceNorm do (a ResNet of today's torch uses them in evaluation: --statistics saved)"
        )
    return {key: value for key, value in state.items() if key not in stale}


def tracked_to_batch(state: State) -> State:
    """InstanceNorm without scale that uses tracked statistics is BatchNorm of scale 1 and shift 0."""
    result = dict(state)
    for key, value in state.items():
        if key.endswith(".running_mean"):
            place = key.removesuffix(".running_mean")
            result.setdefault(f"{place}.weight", torch.ones_like(value))
            result.setdefault(f"{place}.bias", torch.zeros_like(value))
    return result


def expected_state(spec: Spec) -> State:
    """Our names and shapes, without memory for the values."""
    with torch.device("meta"):
        return spec.build().state_dict()


def adopt(
    imported: Imported,
    to_public: Callable[[str], str],
    path: Path,
    optional: Callable[[str], bool] = lambda _own: False,
) -> Imported:
    """`imported`, whose state has public names, with ours; checked against the family's module.

    Keys of ours for which `optional` holds, and batch counters, are zero when absent. Raises
    CheckpointError listing what is missing, unexpected or misshapen, the nearest name beside it.
    """
    expected = expected_state(imported.spec)
    names = {own: to_public(own) for own in expected}
    state = rename(imported.state, names, expected, path, optional)
    absent = [public for public in names.values() if public not in imported.state]
    layout = {**imported.layout, "absent": absent, "names": names}
    return Imported(imported.family, imported.spec, state, imported.changes, layout)


def rename(
    state: State,
    names: Mapping[str, str],
    expected: Mapping[str, torch.Tensor],
    path: Path,
    optional: Callable[[str], bool],
) -> State:
    """Moves tensors from public names to ours; `names` is {ours: public}. Raises as `adopt` does."""
    problems: list[str] = []
    result: State = {}
    public_names = set(names.values())
    spare, lacking = set(state) - public_names, public_names - set(state)

    def hint(name: str, candidates: set[str]) -> str:
        """The nearest name, for the problems that are shown: comparing names is slow."""
        return nearest(name, candidates) if len(problems) < SHOWN else ""

    for own, wanted in expected.items():
        public = names[own]
        if public in state:
            problems += misfit(public, state[public], wanted)
            result[own] = state[public]
        elif optional(own) or own.endswith("num_batches_tracked"):
            result[own] = torch.zeros(wanted.shape, dtype=wanted.dtype)
        else:
            problems.append(f"missing '{public}'{hint(public, spare)}")
    for key in sorted(spare):
        problems.append(f"unexpected '{key}'{hint(key, lacking)}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise CheckpointError(
            f"{path}: keys do not fit: {'; '.join(problems[:SHOWN])}{more}. "
            "Give the state dict of an unchanged public generator"
        )
    return result


def misfit(public: str, value: torch.Tensor, wanted: torch.Tensor) -> list[str]:
    """What is wrong with a tensor's shape or type, if anything."""
    if value.shape != wanted.shape:
        return [f"'{public}' has shape {tuple(value.shape)}, expected {tuple(wanted.shape)}"]
    if wanted.is_floating_point() and not value.is_floating_point():
        return [f"'{public}' has type {value.dtype}, expected floating point"]
    return []


def give_back(imported: Imported, to_public: Callable[[str], str]) -> State:
    """The state in public names, without the keys that the public file did not have."""
    absent = set(imported.layout.get("absent", ()))
    named = {to_public(own): value for own, value in imported.state.items()}
    return {public: value for public, value in named.items() if public not in absent}
