"""Where features are distilled: the family's own taps, or, for any other module, places read off its trace."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.fx.passes.shape_prop import ShapeProp

from edgegan.channels.tracing import symbolic_trace

MOST_TAPS = 4


@runtime_checkable
class Tapped(Protocol):
    """A generator whose family states its taps."""

    def taps(self) -> list[str]:
        """Names of its modules whose outputs are distilled, in the order they run."""


def tap_modules(module: nn.Module, example: torch.Tensor) -> list[str]:
    """Names of modules of `module` whose outputs are (N, C, h, w) features to distil.

    A family states them in `taps()`. Otherwise: up to four layers with weights, evenly spread over those that work at
    the smallest resolution larger than one pixel, each by the last norm or convolution there.
    """
    if isinstance(module, Tapped):
        return module.taps()
    trace = symbolic_trace(module, example)
    with torch.no_grad():
        ShapeProp(trace).propagate(example)
    layers: list[tuple[str, int]] = []
    for node in trace.graph.nodes:
        if node.op != "call_module" or "tensor_meta" not in node.meta:
            continue
        shape = node.meta["tensor_meta"].shape
        has_weights = any(True for _ in module.get_submodule(str(node.target)).parameters())
        if has_weights and len(shape) == 4 and min(shape[2:]) > 1:
            layers.append((str(node.target), shape[2] * shape[3]))
    if len(layers) < 2:
        return []
    smallest = min(area for _, area in layers[:-1])
    names = [name for name, area in layers[:-1] if area == smallest]
    count = min(MOST_TAPS, len(names))
    places = {round((index + 1) * len(names) / count) - 1 for index in range(count)}
    return [names[place] for place in sorted(places)]
