"""Kinds of numbers and texts that schemas of files are made of, each with its bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgegan.contracts.bounds import MOST_INTEGER, MOST_SIDE

MOST_TEXT = 10_000
MOST_NAME = 200
MOST_WIDTH = 2**20
MOST_LAYERS = 64

Side = Annotated[int, Field(strict=True, ge=1, le=MOST_SIDE)]
Number = Annotated[int, Field(strict=True, ge=0, lt=MOST_INTEGER)]
Count = Annotated[int, Field(strict=True, ge=1, lt=MOST_INTEGER)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Milliseconds = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
Share = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1)]
Text = Annotated[str, Field(max_length=MOST_TEXT)]
Name = Annotated[str, Field(max_length=MOST_NAME)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = tuple[Side, Side]
Width = Annotated[int, Field(strict=True, ge=1, le=MOST_WIDTH)]
Layers = Annotated[tuple[Width, ...], Field(max_length=MOST_LAYERS)]
