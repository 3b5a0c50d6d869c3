"""What workers may answer, here and on devices: every line has a schema and bounds, every array a shape and a size."""

from __future__ import annotations

import os
import stat
import tokenize
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_LINE_BYTES = 16 << 20
MOST_MS = 1e7
LEAST_MS = 1e-5
MOST_DIMENSIONS = 8
MOST_HEADER_BYTES = 4096
ITEM_BYTES = 256 << 20
TIMES_INPUT = 64
NUMBERS = "fiub"  # kinds of number that an artefact gives

Name = Annotated[str, Field(max_length=1000)]
Milliseconds = Annotated[float, Field(ge=LEAST_MS, lt=MOST_MS, allow_inf_nan=False)]
Duration = Annotated[float, Field(ge=0, lt=MOST_MS, allow_inf_nan=False)]
Samples = Annotated[list[Milliseconds], Field(max_length=1_000_000)]
Dimension = Annotated[int, Field(ge=-(2**31), lt=2**31)] | Name | None


class Answer(BaseModel):
    """A line of a worker."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Failed(Answer):
    """The runtime's own words; `refused`: it tried what a network may not."""

    error: str
    refused: bool = False


class Tensor(Answer):
    """An input or output as the runtime names it."""

    name: Name
    shape: list[Dimension] = Field(max_length=64)
    dtype: Name


class Loaded(Answer):
    """Of "load"."""

    load_ms: Duration
    inputs: list[Tensor] = Field(max_length=10_000)
    outputs: list[Tensor] = Field(max_length=10_000)
    version: Name
    outside_xnnpack: Annotated[list[Name], Field(max_length=100_000)] | None


class Ran(Answer):
    """Of "run"."""

    count: int = Field(ge=0)


class Timed(Answer):
    """Of "time"."""

    samples_ms: Samples
    peak_rss_bytes: Annotated[int, Field(ge=0, lt=2**50)] | None


class Counted(Answer):
    """Of "count"."""

    runs: int


class Batched(Answer):
    """Of "batch"."""

    samples_ms: list[Samples]


class Profiled(Answer):
    """Of "profile"."""

    rows: list[tuple[Name, Duration]] = Field(max_length=100_000)
    note: Name


ANSWERS: dict[str, type[Answer]] = {
    "load": Loaded,
    "run": Ran,
    "time": Timed,
    "count": Counted,
    "batch": Batched,
    "profile": Profiled,
}


def read_answer(line: bytes, request: dict[str, Any]) -> dict[str, Any] | Failed:
    """The answer to a request; raises ValueError for anything that no worker answers to it."""
    try:
        return Failed.model_validate_json(line)
    except ValidationError:
        pass
    try:
        found = ANSWERS[request["op"]].model_validate_json(line).model_dump()
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        raise ValueError(f"{where}: {first['msg']}" if where else str(first["msg"])) from error
    expected, given = counts_asked(request), counts_given(found)
    if expected != given:
        raise ValueError(f"it gives {given}, asked for were {expected}"[:200])
    return found


def counts_asked(request: dict[str, Any]) -> list[int]:
    """How many samples, or runs, a request asks for: of each model of a batch."""
    if request["op"] == "batch":
        return [0 if request["count"] else int(request["runs"])] * len(request["models"])
    return [int(request["runs"])] if request["op"] in ("time", "count") else []


def counts_given(found: dict[str, Any]) -> list[int]:
    """How many an answer gives."""
    samples = found.get("samples_ms", [])
    if "note" in found or not samples:
        return [found["runs"]] if "runs" in found else []
    return list(map(len, samples)) if isinstance(samples[0], list) else [len(samples)]


def read_array(path: Path, count: int, input_bytes: int) -> np.ndarray:
    """The (count, ...) numbers that a worker wrote for an input of so many bytes; nothing but a plain file of the size
    that its header says is read. Raises ValueError, or OSError as it comes."""
    most = count * ITEM_BYTES + TIMES_INPUT * input_bytes
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("the output is no plain file")
        if about.st_size > most:
            raise ValueError(f"the output has {about.st_size:,} bytes, allowed are {most:,}")
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, by_columns, dtype = read(file, max_header_size=MOST_HEADER_BYTES)
        except (
            ValueError,
            KeyError,
            TypeError,
            SyntaxError,
            tokenize.TokenError,
            EOFError,
            RecursionError,
            MemoryError,
        ) as error:
            raise ValueError("the output is no .npy file") from error
        if dtype.kind not in NUMBERS or by_columns or not 1 <= len(shape) <= MOST_DIMENSIONS:
            raise ValueError(f"the output has shape {shape} of {dtype}"[:200])
        values = 1
        for side in shape:
            values *= side
        if shape[0] != count or min(shape) < 0:
            raise ValueError(f"the output has shape {shape}, the input {count} items"[:200])
        size = values * dtype.itemsize
        if about.st_size - file.tell() != size:
            raise ValueError(f"the output has shape {shape}, but {about.st_size:,} bytes"[:200])
        return np.frombuffer(bytearray(file.read(size)), dtype).reshape(shape)
