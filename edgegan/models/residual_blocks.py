"""A trunk of residual blocks that may lose some: an nn.ModuleList `blocks` of `ResidualBlock`.

Without channels between its convolutions a block is the identity; the spec then has one inner width fewer, and the
blocks that stay are numbered anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from edgegan.models.spec import WidthField

INNER = WidthField(r"blocks\.(\d+)\.conv1(?:\.pointwise)?", "inner", 0, removable=True)


def block_of(group: str) -> int | None:
    """The number of the residual block inside which a channel group lies; None for a group outside."""
    match = re.fullmatch(INNER.groups, group)
    return int(match[1]) if match else None


def renumber_blocks(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict whose residual blocks are numbered without gaps, after empty ones went."""
    found = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    number = {old: new for new, old in enumerate(sorted(found))}
    return {
        re.sub(r"^blocks\.(\d+)\.", lambda match: f"blocks.{number[int(match[1])]}.", name): value
        for name, value in state.items()
    }


def tap_names(num_blocks: int) -> list[str]:
    """The trunk's entry, behind its ReLU, and the last block of each third of a trunk of `num_blocks` blocks."""
    ends = (
        sorted({max(0, round(num_blocks * third / 3) - 1) for third in (1, 2, 3)})
        if num_blocks
        else []
    )
    return ["down2_relu", *(f"blocks.{index}" for index in ends)]
