"""GAN Slimming's files: InstanceNorm with scales everywhere but on the trunk, and residual blocks that went.

A block without channels is an empty sequence there, so that its sum makes 2x of x (their models.py). Here the block
goes and the stream stays x: what reads it takes twice as much, what is added to it half, for each such block before,
which computes the same.
"""

from __future__ import annotations

import re

import torch

from edgegan.weights import State

BLOCKS = re.compile(r"model\.(\d+)\.conv_block\.")
FIRST = 10  # behind a stem and two halvings
BLOCK_PARTS = ("1.weight", "1.bias", "2.weight", "2.bias", "5.weight", "5.bias")


def is_slimmed(state: State) -> bool:
    """Whether norms have scales in the stem and none on the trunk, as in GAN Slimming's generators alone."""
    scaled = "model.2.weight" in state and state["model.2.weight"].dim() == 1
    return scaled and "model.2.running_mean" not in state and "model.8.weight" not in state


def whole(state: State, changes: list[str]) -> State:
    """The state with norms of scale one on the trunk, and its blocks in a row."""
    places = sorted({int(match[1]) for key in state if (match := BLOCKS.match(key))})
    rows = max(
        (int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.weight", key))),
        default=0,
    )
    blocks = rows - 7 - FIRST  # two doublings of three layers, padding and head stand behind them
    gone = [place for place in range(FIRST, FIRST + blocks) if place not in places]
    changes.append("norms of the trunk have no scales in the file: they are one")
    if gone:
        changes.append(
            f"{len(gone)} of {blocks} residual blocks have no channels and went; they doubled the stream, which is "
            "folded into what reads it"
        )
    result = {key: value for key, value in state.items() if not BLOCKS.match(key)}
    doubled = 0
    kept = FIRST
    width = state["model.7.weight"].shape[0]
    for place in range(FIRST, FIRST + blocks):
        if place in gone:
            doubled += 1
            continue
        for part in BLOCK_PARTS:
            key = f"model.{place}.conv_block.{part}"
            if key in state:
                twice = 2.0**doubled if part == "1.weight" else 1.0
                result[f"model.{kept}.conv_block.{part}"] = state[key] * twice
        result[f"model.{kept}.conv_block.6.weight"] = torch.full((width,), 0.5**doubled)
        result[f"model.{kept}.conv_block.6.bias"] = torch.zeros(width)
        kept += 1
    result["model.8.weight"], result["model.8.bias"] = torch.ones(width), torch.zeros(width)
    if not doubled:
        return result
    behind = FIRST + blocks
    result[f"model.{behind}.weight"] = result[f"model.{behind}.weight"] * 2.0**doubled
    return {moved(key, behind, doubled): value for key, value in result.items()}


def moved(key: str, behind: int, gone: int) -> str:
    """The key of a layer behind the blocks, once so many of them went."""
    match = re.match(r"model\.(\d+)\.(?!conv_block)", key)
    if match is None or int(match[1]) < behind:
        return key
    return f"model.{int(match[1]) - gone}.{key[match.end() :]}"
