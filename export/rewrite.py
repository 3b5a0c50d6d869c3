"""Rewrites before conversion, each exact or with its bound stated: the walk over a traced generator."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import Rewrite, propagate_shapes, source_of
from edgegan.export.rewrites.linear_pairs import StatisticsRecorder
from edgegan.export.rewrites.passes import MEASURED, SHAPED
from edgegan.export.rewrites.preparation import prepare
from edgegan.export.targets import TARGETS


def rewrite(
    module: nn.Module, samples: torch.Tensor, target: str, without: Collection[str] = ()
) -> tuple[fx.GraphModule, list[Rewrite]]:
    """A rewritten copy of `module` for a target at the size of `samples` (N, ...).

    The samples are typical inputs: channel ranges are read from them. `without` names rewrites to leave out.
    """
    graph = prepare(module, samples[:1])
    records: list[Rewrite] = []
    changed = True
    for name, change in TARGETS[target].passes().items():
        if name in without:
            continue
        if changed and name in SHAPED:
            propagate_shapes(graph, samples[:1])
            changed = False
        found = False
        if name == next(iter(MEASURED)):
            record_statistics(graph, samples)
        for node in list(graph.graph.nodes):
            if node.op == "call_module" and change(graph, node):
                records.append(Rewrite(name, str(node.target)))
                found = changed = True
        if found:
            graph.graph.eliminate_dead_code()
            graph.delete_all_unused_submodules()
            graph.recompile()
    return graph, records


def record_statistics(graph: fx.GraphModule, samples: torch.Tensor) -> None:
    """Runs the samples and notes every node's channel statistics, and those of its input."""
    with torch.no_grad():
        for sample in samples:
            StatisticsRecorder(graph).run(sample[None])
    for node in graph.graph.nodes:
        if node.op == "call_module":
            node.meta["input_mean_ratio"] = source_of(node).meta.get("mean_ratio", 0.0)
