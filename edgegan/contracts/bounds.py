"""How much a file or an answer may ask for: checked before memory is taken, so that a small file never costs much.

The rule: whatever stands in a file, reading it takes at most 50 times its size and 500 MB.
"""

from __future__ import annotations

import json
import math
import re
import stat
from datetime import date
from pathlib import Path
from typing import Any

from edgegan.errors import InputError

MOST_JSON_BYTES = 32_000_000
MOST_DEPTH = 64
MOST_INTEGER = 2**63
MOST_SIDE = 16_384
MOST_VALUES = 2**26  # of one tensor: 256 MB in float32
QUOTED = re.compile(r'"[^"]*"')
BRACKET = re.compile(r"[\[\]{}]")
SURROGATE = re.compile(r"[\ud800-\udfff]")


def read_whole(path: Path, most_bytes: int = MOST_JSON_BYTES) -> bytes:
    """A file's content; raises InputError for a pipe or device, and when there is more of it than `most_bytes`, of
    which no more is read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise InputError(f"{path} is no plain file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InputError(f"{path} is larger than {most_bytes / 1e6:.0f} MB, which no such file is")
    return content


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text; raises ValueError with what is wrong or out of bounds in it."""
    if len(content) > MOST_JSON_BYTES:
        raise ValueError(f"it is larger than {MOST_JSON_BYTES // 10**6} MB")
    text = content.decode() if isinstance(content, bytes) else content
    if nesting(text) > MOST_DEPTH:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
    value = json.loads(text, parse_constant=refuse_constant, parse_int=short_integer)
    check_values(value)
    return value


def nesting(text: str) -> int:
    """How deep brackets are nested in a JSON text; those in strings do not count."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return 0
    bare = QUOTED.sub("", text.replace("\\\\", "").replace('\\"', ""))
    depth = deepest = 0
    for mark in BRACKET.finditer(bare):
        depth += 1 if mark[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def refuse_constant(name: str) -> float:
    """Raises ValueError for NaN and Infinity, which are no JSON."""
    raise ValueError(f"{name} is not a number of JSON")


def short_integer(digits: str) -> int:
    """An integer that a file of ours may hold; raises ValueError for one of too many digits."""
    if len(digits) > len(str(MOST_INTEGER)) + 1:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def check_values(value: Any, most: int | None = None, *, finite: bool = True) -> None:
    """Raises ValueError for what no file of ours holds: numbers out of range, text that is none, more than `most`
    values, deep nesting, other types than JSON's and dates."""
    waiting, count = [(value, 0)], 0
    while waiting:
        each, depth = waiting.pop()
        count += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
        if most is not None and count > most:
            raise ValueError(f"it holds more than {most} values")
        if isinstance(each, dict):
            waiting += [(key, depth + 1) for key in each]
            waiting += [(part, depth + 1) for part in each.values()]
        elif isinstance(each, list):
            waiting += [(part, depth + 1) for part in each]
        else:
            check_scalar(each, finite=finite)


def check_scalar(value: Any, *, finite: bool) -> None:
    """Raises ValueError for a single value that no file of ours holds."""
    if isinstance(value, str):
        if "\0" in value or SURROGATE.search(value):
            raise ValueError(f"{value[:60]!a} is no text: it holds a NUL or half a character")
    elif isinstance(value, int):
        if abs(value) >= MOST_INTEGER:
            raise ValueError(f"it holds a number of {value.bit_length()} bits")
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
    elif value is not None and not isinstance(value, date):
        raise ValueError(f"it holds a {type(value).__name__}, which is neither text nor a number")


def check_shape(shape: list[int], most_values: int = MOST_VALUES) -> list[int]:
    """The shape of a tensor, of which -1 stands for a side that varies; raises ValueError when it is none that we
    make."""
    wrong = [side for side in shape if side != -1 and not 1 <= side <= MOST_SIDE]
    if wrong:
        raise ValueError(f"{shape} has a side of {wrong[0]}, not 1 to {MOST_SIDE}")
    if math.prod(abs(side) for side in shape) > most_values:
        raise ValueError(f"{shape} holds more than {most_values:,} values")
    return shape
