"""What a sub-network costs, from the widths alone, so that a search can ask thousands of times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from edgegan.channels.graph import ChannelGraph, Segment
from edgegan.channels.slicing import named_tensors
from edgegan.metrics.complexity import measure


@dataclass(frozen=True)
class TensorSize:
    """The entries of a tensor as a function of widths: a constant times a sum of widths for every sliced dimension."""

    constant: int
    dimensions: tuple[tuple[Segment, ...], ...]
    is_weight: bool
    positions: int

    def entries(self, widths: Mapping[str, int]) -> int:
        """How many numbers the tensor holds."""
        return self.constant * math.prod(
            sum(widths[each.group] * each.repeat for each in segments)
            for segments in self.dimensions
        )


class PlanCosts:
    """True MACs, parameters and int8 weight bytes of any sub-network, from one count of the widest."""

    def __init__(self, module: nn.Module, graph: ChannelGraph, example: torch.Tensor) -> None:
        positions: dict[str, int] = {}
        for layer in measure(module, example, cross_check=False).layers:
            weight = getattr(module.get_submodule(layer.name), "weight", None)
            if layer.macs and isinstance(weight, torch.Tensor):
                name = f"{layer.name}.weight"
                positions[name] = positions.get(name, 0) + layer.macs // weight.numel()
        self.widest = {name: group.size for name, group in graph.groups.items()}
        self.sizes = []
        for name, tensor in named_tensors(module):
            if not isinstance(tensor, nn.Parameter):
                continue
            sliced = graph.dimensions.get(name, {})
            whole = math.prod(size for dim, size in enumerate(tensor.shape) if dim not in sliced)
            self.sizes.append(
                TensorSize(whole, tuple(sliced.values()), name in positions, positions.get(name, 0))
            )

    def __call__(self, plan: Mapping[str, int]) -> dict[str, float]:
        """{"macs", "params", "bytes"} of a plan; bytes as `Complexity.bytes_int8` counts them."""
        widths = {**self.widest, **plan}
        macs = params = weights = 0
        for size in self.sizes:
            entries = size.entries(widths)
            params += entries
            macs += entries * size.positions
            weights += entries if size.is_weight else 0
        return {"macs": macs, "params": params, "bytes": weights + 4 * (params - weights)}
