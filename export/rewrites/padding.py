"""Padding as slices and concatenation: MIRROR_PAD is not in XNNPACK and costs ten times as much."""

from __future__ import annotations

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import layer_of, replace_layer

Bordered = nn.ReflectionPad2d | nn.ReplicationPad2d | nn.CircularPad2d


class ConcatPad(nn.Module):
    """Padding by reflection, replication or from the opposite side, one row or column after the other."""

    def __init__(self, pad: Bordered) -> None:
        super().__init__()
        self.left, self.right, self.top, self.bottom = pad.padding
        self.kind = type(pad)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H + top + bottom, W + left + right)."""
        return self.pad(self.pad(x, 2, self.top, self.bottom), 3, self.left, self.right)

    def pad(self, x: torch.Tensor, axis: int, front: int, back: int) -> torch.Tensor:
        """One axis padded, or cut where a number is negative."""
        length = x.shape[axis]
        if front < 0 or back < 0:
            x = x.narrow(axis, max(0, -front), length + min(0, front) + min(0, back))
            length = x.shape[axis]
        if self.kind is nn.CircularPad2d:
            before = [x.narrow(axis, length - front, front)] if front > 0 else []
            after = [x.narrow(axis, 0, back)] if back > 0 else []
        else:
            step = 1 if self.kind is nn.ReflectionPad2d else 0
            before = [x.narrow(axis, step * i, 1) for i in range(front, 0, -1)]
            after = [x.narrow(axis, length - 1 - step * i, 1) for i in range(1, back + 1)]
        return torch.cat([*before, x, *after], axis) if before or after else x


def concat_pad(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Reflection, replication or circular padding -> slices and concatenation."""
    layer = layer_of(graph, node)
    if not isinstance(layer, Bordered):
        return False
    replace_layer(graph, node, ConcatPad(layer))
    return True
