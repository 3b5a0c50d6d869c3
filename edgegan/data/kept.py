"""What a run keeps of its teacher on disk, read back: what is in it, and arrays that fit to that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegan.contracts.quantities import Finite, Text
from edgegan.data.arrays import open_array
from edgegan.errors import InputError, first_problem
from edgegan.files import read_json
from edgegan.package import ImageIO, InputIO, NoiseIO

AGAIN = "run the same edgegan compress command again with --overwrite"


class Kept(BaseModel):
    """cache.json: what went into the teacher, and which of its layers were kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Annotated[InputIO, Field(discriminator="kind")] = ImageIO()
    taps: list[Text] = Field([], max_length=1000)
    tap_mean_squares: list[Finite] = Field([], max_length=1000)
    validation: list[Text] = Field([], max_length=1_000_000)


def read_kept(folder: Path) -> Kept:
    """A run's cache.json; raises InputError naming the field that is wrong."""
    path = folder / "cache.json"
    try:
        return Kept.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}; {AGAIN}") from error


def open_inputs(path: Path, takes: InputIO) -> NDArray[Any]:
    """Kept inputs of a generator, mapped: (N, ...) as `edgegan.data.stored.Codec` keeps them; raises InputError."""
    array = open_array(path)
    if isinstance(takes, NoiseIO):
        fits = array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] == takes.dimension
    else:
        planes = takes.channels if isinstance(takes, ImageIO) else 1 + int(takes.instance_edge)
        kinds: tuple[type, ...] = (
            (np.uint8,) if isinstance(takes, ImageIO) else (np.uint8, np.uint16)
        )
        fits = array.ndim == 4 and array.dtype in kinds and array.shape[1] == planes
    if not fits or not len(array):
        raise InputError(
            f"{path} holds {array.dtype} {array.shape}, not inputs of a generator that takes {takes.kind}; {AGAIN}"
        )
    return array


def has_sides_of(made: NDArray[Any], inputs: NDArray[Any]) -> bool:
    """Whether pictures are inputs, or inputs enlarged or reduced, by their sides."""
    (tall, wide), (high, broad) = made.shape[2:], inputs.shape[2:]
    return bool(tall * broad == wide * high)


def open_outputs(path: Path, inputs: NDArray[Any]) -> NDArray[Any]:
    """What the teacher made of kept inputs, mapped: (N, C, H, W) float; raises InputError."""
    array = open_array(path)
    same = array.ndim == 4 and len(array) == len(inputs) and array.dtype.kind == "f"
    if not same or (inputs.ndim == 4 and not has_sides_of(array, inputs)):
        raise InputError(
            f"{path} holds {array.dtype} {array.shape}, not the teacher's pictures of {inputs.shape}; {AGAIN}"
        )
    return array
