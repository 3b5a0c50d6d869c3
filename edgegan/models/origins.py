"""Where every tensor of a package came from, and the proof that a package computes what its source computes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from edgegan.contracts.quantities import Name, Sha256
from edgegan.errors import ConfigError, InputError, ParityError, first_problem
from edgegan.files import check_sha256, read_json, sha256_bytes
from edgegan.models.custom import ALLOWED, allow_generator, make_module, run_seeded
from edgegan.models.ends import Ends, outputs_of
from edgegan.models.matching import STATISTICS, rename
from edgegan.package import ORIGINS_FILE, PackageConfig
from edgegan.weights import State

EQUAL = 1e-4  # largest difference that is allowed, of the largest value
RANGES = (((-1, 1), (-1, 1)), ((0, 1), (0, 1)), ((-1, 1), (0, 1)), ((0, 255), (0, 255)))
MOST_TENSORS = 100_000


class Origin(BaseModel):
    """One tensor of a package: `key` in the checkpoint, without wrappers and usual prefixes, and the sha256 of the
    values there as float32 or integers. A key of null: made of several or of none, as the package's changes say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Name | None
    sha256: Sha256 | None = None
    changed: bool = Field(False, description="its values are others than in the checkpoint")


class Origins(BaseModel):
    """origins.json of a package."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensors: dict[Name, Origin] = Field(max_length=MOST_TENSORS)


class Compared(NamedTuple):
    """Largest difference of two networks' outputs, largest value of the source, and what its numbers were."""

    difference: float
    largest: float
    takes: tuple[float, float]
    gives: tuple[float, float]

    def __str__(self) -> str:
        (low, high), (bottom, top) = self.takes, self.gives
        return (
            f"largest difference {self.difference:.1e} of {self.largest:.1e}, values {low:g}..{high:g} in and "
            f"{bottom:g}..{top:g} out"
        )


def find_origins(
    state: Mapping[str, torch.Tensor], source: State, names: Mapping[str, str]
) -> dict[str, Any]:
    """origins.json of a package's tensors: by the key map's `names` (ours: public), else by equal values."""
    marks = {key: mark(value) for key, value in source.items()}
    by_mark: dict[str, list[str]] = {}
    for key, found in marks.items():
        by_mark.setdefault(found, []).append(key)
    tensors = {}
    for own, value in state.items():
        found = mark(value)
        same = by_mark.get(found, [])
        named = names.get(own, own)
        if named in same:
            origin = Origin(key=named, sha256=found)
        elif named in marks:
            origin = Origin(key=named, sha256=marks[named], changed=True)
        elif len(same) == 1:
            origin = Origin(key=same[0], sha256=found)
        else:
            origin = Origin(key=None)
        tensors[own] = origin
    return Origins(tensors=tensors).model_dump(mode="json")


def mark(value: torch.Tensor) -> str:
    """sha256 of a tensor's type, shape and values."""
    told = f"{value.dtype} {tuple(value.shape)} ".encode()
    return sha256_bytes(told + value.detach().contiguous().cpu().numpy().tobytes())


def read_origins(folder: Path, config: PackageConfig) -> dict[str, Origin] | None:
    """What a package keeps of where its tensors came from; None where it keeps nothing. Raises InputError."""
    entry = config.files.get(ORIGINS_FILE)
    if entry is None:
        return None
    path = folder / ORIGINS_FILE
    check_sha256(path, entry.sha256)
    try:
        return Origins.model_validate(read_json(path)).tensors
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}; import the checkpoint again") from error


def source_module(name: str, given: State, checkpoint: Path | None) -> nn.Module:
    """What the user's factory makes, with the weights `given` of a checkpoint if any, in evaluation mode.

    Raises ConfigError when it is no nn.Module, CheckpointError when the weights do not fit; statistics that it has no
    place for are left out.
    """
    before = os.environ.get(ALLOWED)
    allow_generator(name, "--check")
    try:
        module = make_module(name, "--check")
    finally:
        os.environ.pop(ALLOWED)
        if before is not None:
            os.environ[ALLOWED] = before
    if checkpoint is not None:
        expected = module.state_dict()
        state = {
            key: value
            for key, value in given.items()
            if key in expected or key.rpartition(".")[2] not in STATISTICS
        }
        names = {key: key for key in expected}
        module.load_state_dict(rename(state, names, expected, checkpoint, lambda _: False))
    return module


def check_against(
    name: str, module: nn.Module, source: nn.Module, example: torch.Tensor, ends: Ends | None
) -> str:
    """What the comparison of a package's module with its source on one input came to, in words.

    Numbers of the source are those of `ends`; where these are None, the usual ranges are tried. Raises ParityError
    above 1e-4 of the largest value, ConfigError when the source does not run or makes another shape.
    """
    made = run_seeded(module, example)
    tried = [ends] if ends is not None else [Ends(takes=a, gives=b) for a, b in RANGES]
    found = [compare(name, made, source, example, each) for each in tried]
    best = min(found, key=lambda each: each.difference / max(each.largest, 1e-12))
    if not best.difference <= EQUAL * best.largest:
        raise ParityError(
            f"--check {name}: the package computes something else ({best}; the gate is {EQUAL:g} of the largest "
            "value): check that this is the module the weights belong to, and --padding, --statistics, --range"
        )
    return f"compared with {name}: {best}"


class FirstOf(nn.Module):
    """A source of whose several outputs the first is taken."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The source's inputs -> its first output."""
        made = self.source(*inputs)
        return made[0] if isinstance(made, tuple | list) else made


def compare(
    name: str, made: torch.Tensor, source: nn.Module, example: torch.Tensor, ends: Ends
) -> Compared:
    """One comparison, between these ends of the source."""
    net = FirstOf(source) if ends.result is None else source
    try:
        expected = run_seeded(ends.around(net, example.shape[1]), example)
    except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
        raise ConfigError(
            f"--check {name}: it does not run on an input of shape {tuple(example.shape)}: {error}"
        ) from error
    if not isinstance(expected, torch.Tensor) or expected.shape != made.shape:
        told = tuple(expected.shape) if isinstance(expected, torch.Tensor) else outputs_of(expected)
        raise ConfigError(f"--check {name}: it makes {told}, the package {tuple(made.shape)}")
    largest = float(expected.abs().max())
    return Compared(float((made - expected).abs().max()), largest, ends.takes, ends.gives)
