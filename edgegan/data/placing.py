"""Where the files of a data set go, and what becomes of them: one rule for each form, from a path to outputs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgegan.data.cityscapes import IGNORED, OF_LABELS
from edgegan.data.images import DECODE_ERRORS, SUFFIXES, resize_image, resize_nearest, to_rgb
from edgegan.errors import InputError

Convert = Callable[[bytes], bytes]
DOMAINS = re.compile(r"(?:^|/)(train|test|val)/?([AB])/([^/]+)$")
SIDES = re.compile(r"(?:^|/)(train|test|val)/([^/]+)$")
STREETS = re.compile(
    r"(?:^|/)(?:leftImg8bit|gtFine)/(train|val)/([^/]+)/([^/]+)_(leftImg8bit|gtFine_labelIds|gtFine_instanceIds)\.png$"
)
ITSELF = (*range(len(OF_LABELS) - 1), IGNORED)
MOST_PIXELS = 20_000_000


@dataclass(frozen=True)
class Output:
    """A file to write: its path in the data set, and what its bytes become; None: they stay as they are."""

    path: str
    convert: Convert | None = None


def is_picture(name: str) -> bool:
    """Whether a path is a picture's; `._x` are another program's notes on it."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def unpaired(name: str) -> list[Output]:
    """trainA/x.jpg, or train/A/x.jpg, wherever it lies."""
    found = DOMAINS.search(name)
    if found is None or not is_picture(name):
        return []
    part, side, file = found.groups()
    return [Output(f"{part}{side}/{file}")]


def aligned(name: str) -> list[Output]:
    """train/x.jpg, both pictures side by side."""
    found = SIDES.search(name)
    return [Output("/".join(found.groups()))] if found is not None and is_picture(name) else []


def cityscapes(name: str, size: tuple[int, int] | None) -> list[Output]:
    """A photo, a map of the 35 label numbers together with one of the 19 judged classes, or a map of instances, scaled
    to `size` (height, width), ratio not kept."""
    found = STREETS.search(name)
    if found is None:
        return []
    part, city, frame, kind = found.groups()

    def to(folder: str) -> str:
        return f"{folder}/{part}/{city}/{frame}.png"

    if kind == "leftImg8bit":
        photo: Convert | None = (lambda data: scaled_photo(data, size, name)) if size else None
        return [Output(to("photos"), photo)]
    if kind == "gtFine_instanceIds":
        same: Convert | None = (lambda data: mapped(data, size, name, None)) if size else None
        return [Output(to("instances"), same)]
    return [
        Output(to("labels"), lambda data: mapped(data, size, name, OF_LABELS)),
        Output(to("label_ids"), lambda data: mapped(data, size, name, ITSELF)),
    ]


def decoded(data: bytes, name: str) -> Image.Image:
    """A PNG; raises InputError naming it when it is damaged or too large."""
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels")
        image.load()
    except DECODE_ERRORS as error:
        raise InputError(f"{name} is damaged or no PNG ({error}); get the archive again") from error
    return image


def scaled_photo(data: bytes, size: tuple[int, int] | None, name: str) -> bytes:
    """A photo of another size, by the bicubic filter."""
    pixels = to_rgb(decoded(data, name))
    return png(resize_image(pixels, *size) if size else pixels)


def mapped(
    data: bytes, size: tuple[int, int] | None, name: str, table: tuple[int, ...] | None
) -> bytes:
    """A map of numbers by the nearest pixel, each number what `table` says; a number that it does not know is an
    InputError."""
    image = decoded(data, name)
    if image.mode not in ("L", "P", "I", "I;16"):
        raise InputError(f"{name} has mode {image.mode}, and maps hold one number a pixel")
    numbers: NDArray[Any] = np.asarray(image).astype(np.int64)
    if size is not None:
        numbers = resize_nearest(numbers, *size)
    if table is None:
        return png(numbers.astype(np.uint16))
    numbers = np.where(numbers == IGNORED, len(table) - 1, numbers)  # what has no label
    if numbers.max(initial=0) >= len(table) or numbers.min(initial=0) < 0:
        raise InputError(f"{name} holds label {numbers.max()}, and Cityscapes has {len(table)}")
    return png(np.asarray(table, np.uint8)[numbers])


def png(pixels: NDArray[Any]) -> bytes:
    """The bytes of a PNG: (H, W, 3) or (H, W) uint8, or (H, W) uint16."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
