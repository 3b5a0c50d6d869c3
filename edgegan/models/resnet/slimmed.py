"""GAN Slimming's generators (Wang et al., ECCV 2020, as released): norms of the trunk have no scale, all others have
one, and residual blocks may have lost all channels."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from edgegan.errors import CheckpointError
from edgegan.models.matching import STATISTICS
from edgegan.weights import State

FIRST_BLOCK = 10
MOST_BLOCKS = 64
PLACE = re.compile(r"^model\.(\d+)\.")
OUTER = re.compile(r"model\.(8|\d+\.conv_block\.6)\.(weight|bias)")


def recognises(state: State) -> bool:
    """Whether the first norm has a scale and those of the trunk have none."""
    if "model.2.weight" not in state or "model.8.weight" in state or "model.7.weight" not in state:
        return False
    if any(key.rsplit(".", 1)[-1] in STATISTICS or OUTER.fullmatch(key) for key in state):
        return False
    found = convolutions(state)
    return len(found) == 6 and found == [1, 4, 7, found[3], found[3] + 3, found[3] + 7]


def convolutions(state: State) -> list[int]:
    """Where convolutions outside residual blocks stand."""
    found = (re.fullmatch(r"model\.(\d+)\.weight", key) for key in state)
    return sorted(int(match[1]) for match in found if match and state[match[0]].dim() == 4)


def empty_blocks(state: State, path: Path) -> list[int]:
    """The residual blocks, counted from 0, that have no tensors; raises CheckpointError for too long a row."""
    count = convolutions(state)[3] - FIRST_BLOCK
    if not 0 <= count <= MOST_BLOCKS:
        raise CheckpointError(
            f"{path}: room for {count} residual blocks before model.{count + FIRST_BLOCK}.weight, "
            f"expected 0 to {MOST_BLOCKS}; is the file complete?"
        )
    there = {int(match[1]) for key in state if (match := PLACE.match(key))}
    return [index for index in range(count) if index + FIRST_BLOCK not in there]


def without_empty(state: State, empty: list[int]) -> State:
    """The same function without blocks that have no channels.

    In the released code such a block adds its input to itself. The trunk then carries what it should divided by two to
    the number of such blocks so far: convolutions that read it take that factor, norms that add to it divide by it, and
    powers of two round nothing.
    """
    result, factors = shifted(state, empty, -1), factors_of(state, empty)
    kept = len(factors) - 1
    up = f"model.{FIRST_BLOCK + kept}.weight"
    result[up] = result[up] * factors[kept]
    trunk = state["model.7.weight"].shape[0]
    scaled = {"model.8": 1.0}
    for index, factor in enumerate(factors[:kept]):
        block = f"model.{FIRST_BLOCK + index}.conv_block"
        if f"{block}.1.weight" in result:
            result[f"{block}.1.weight"] = result[f"{block}.1.weight"] * factor
        scaled[f"{block}.6"] = 1 / factor
    for norm, scale in scaled.items():
        result[f"{norm}.weight"] = torch.full((trunk,), scale)
        result[f"{norm}.bias"] = torch.zeros(trunk)
    return result


def with_empty(state: State, empty: list[int]) -> State:
    """The released form again: the inverse of `without_empty`."""
    place = FIRST_BLOCK
    while f"model.{place}.conv_block.1.weight" in state:
        place += 1
    factors = [2.0**before for before in counts_before(empty, place - FIRST_BLOCK)]
    plain = {key: value for key, value in state.items() if not OUTER.fullmatch(key)}
    for index, factor in enumerate(factors):
        key = f"model.{FIRST_BLOCK + index}.weight"
        key = key if key in plain else f"model.{FIRST_BLOCK + index}.conv_block.1.weight"
        plain[key] = plain[key] / factor
    return shifted(plain, empty, 1)


def factors_of(state: State, empty: list[int]) -> list[float]:
    """What the trunk lacks before each block that stays, and behind the last."""
    kept = convolutions(state)[3] - FIRST_BLOCK - len(empty)
    return [2.0**before for before in counts_before(empty, kept)]


def counts_before(empty: list[int], kept: int) -> list[int]:
    """How many empty blocks stand before each of `kept` others, and before what follows them all."""
    others = [index for index in range(kept + len(empty)) if index not in empty]
    return [*(index - rank for rank, index in enumerate(others)), len(empty)]


def shifted(state: State, empty: list[int], direction: int) -> State:
    """The state with blocks and what follows them moved over the empty ones: left with -1, right with 1."""
    result: State = {}
    gaps = sorted(index + FIRST_BLOCK for index in empty)
    for key, value in state.items():
        match = PLACE.match(key)
        if match is None:
            result[key] = value
            continue
        place = int(match[1])
        if direction < 0:
            place -= sum(gap < place for gap in gaps)
        else:
            for gap in gaps:
                place += gap <= place
        result[f"model.{place}.{key[match.end() :]}"] = value
    return result
