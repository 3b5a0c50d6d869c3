"""How long slicing takes: python -m edgegan.benchmarks.studies.slicing_time prints milliseconds for
resnet_9blocks, ngf 64."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract, slice_parameters
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import build


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call in milliseconds, after one call to warm up."""
    work()
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        samples.append((time.perf_counter() - start) * 1e3)
    return statistics.median(samples)


def main() -> None:
    """Times tracing, slicing by widths, slicing by indices and extraction."""
    module = build("resnet", ResnetSpec.from_ngf(64)).eval()
    example = torch.randn(1, 3, 32, 32)
    graph = trace_channels(module, example)
    widths = {group.name: group.size * 3 // 4 for group in graph.free()}
    indices = {name: torch.arange(width) for name, width in widths.items()}
    for label, work, repeats in [
        ("trace_ms", lambda: trace_channels(module, example), 5),
        ("slice_widths_ms", lambda: slice_parameters(module, graph, widths), 50),
        ("slice_indices_ms", lambda: slice_parameters(module, graph, indices), 5),
        ("extract_ms", lambda: extract(module, graph, widths), 5),
    ]:
        print(f"{label} {median_ms(work, repeats):.2f}")


if __name__ == "__main__":
    main()
