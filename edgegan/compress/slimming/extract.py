"""The cut after training in the paper's form: silent channels leave, their constants fold, the rest is the student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgegan.channels.fold import Folded, extract_folded
from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.channels.tracing import symbolic_trace
from edgegan.compress.slimming.budget import Bundle, make_bundles, project
from edgegan.compress.slimming.deployed import bake
from edgegan.compress.slimming.gates import scale_scores
from edgegan.compress.slimming.learner import Learner
from edgegan.compress.slimming.narrow import removable_groups, remove_block, tied_groups
from edgegan.compress.slimming.start import Start
from edgegan.models.residual_blocks import block_of, renumber_blocks
from edgegan.models.spec import Spec
from edgegan.recipe.slim_section import Slim


@dataclass(frozen=True)
class Extracted:
    """The student as its family's own module, its widths by group of the start network, and what folding did."""

    spec: Spec
    module: nn.Module
    widths: dict[str, int]
    figures: dict[str, Any]


def cut_after_training(learner: Learner, start: Start, slimming: Slim) -> Extracted:
    """Cuts channels by their scales: to the budget, or without one those whose scales are all zero."""
    student, graph = learner.student.module, learner.student.graph
    scores = scale_scores(student, graph, learner.gates)
    removable = set(removable_groups(start.spec, graph).values())
    bundles = make_bundles(
        graph,
        tied_groups(start.spec, graph),
        removable if slimming.remove_blocks else set(),
        slimming.round_to,
    )
    if start.budget is None:
        keep = live_channels(bundles, scores, slimming.round_to)
    else:
        keep = project(bundles, scores, start.cost, start.budget, slimming.round_to)
    if learner.gates is not None:
        learner.gates.fold(student)
    if learner.scheme is not None:
        bake(learner.runner)
    return extract_student(student.eval(), graph, keep, start)


def live_channels(
    bundles: list[Bundle], scores: Mapping[str, torch.Tensor], round_to: int
) -> dict[str, torch.Tensor]:
    """Channels whose score is not zero, filled up with silent ones to a multiple of `round_to`."""
    keep = {}
    for bundle in bundles:
        live = max(int((scores[name] > 0).sum()) for name in bundle.groups)
        width = min(bundle.size, max(bundle.least, -(-live // round_to) * round_to))
        for name in bundle.groups:
            order = torch.argsort(scores[name].cpu(), descending=True, stable=True)
            keep[name] = torch.sort(order[:width]).values
    return keep


def extract_student(
    student: nn.Module,
    graph: ChannelGraph,
    keep: Mapping[str, torch.Tensor],
    start: Start,
) -> Extracted:
    """The student that keeps these channels, constants of the others folded in where that is exact."""
    example = start.example.cpu()
    student = student.cpu()
    for name, channels in keep.items():
        block = block_of(name)
        if not len(channels) and block is not None:
            remove_block(student, block)
    present = trace_channels(student, example)
    plan = {name: channels.cpu() for name, channels in keep.items() if len(channels)}
    folded = extract_folded(student, present, plan)
    absorb_biases(folded.module, example)
    widths = {name: len(channels) for name, channels in keep.items()}
    spec = start.spec.narrowed(graph, widths)
    module = spec.build()
    state = folded.module.state_dict()
    if removable_groups(start.spec, graph):
        state = renumber_blocks(state)
    module.load_state_dict({name: state[name] for name in module.state_dict()})
    return Extracted(spec, module.eval(), widths, describe(folded))


def absorb_biases(module: nn.Module, example: torch.Tensor) -> None:
    """Moves biases that folding gave to convolutions without one into the BatchNorm behind them."""
    graph = symbolic_trace(module, example)
    for node in graph.graph.nodes:
        if node.op != "call_module":
            continue
        layer = module.get_submodule(str(node.target))
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) or layer.bias is None:
            continue
        users = [u for u in node.users if u.op == "call_module"]
        after = module.get_submodule(str(users[0].target)) if len(users) == 1 else None
        if isinstance(after, nn.BatchNorm2d) and after.running_mean is not None:
            with torch.no_grad():
                after.running_mean.sub_(layer.bias)
                layer.bias.zero_()


def describe(folded: Folded) -> dict[str, Any]:
    """What became of the pruned channels' constants."""
    kinds = [fold.kind for fold in folded.folds]
    return {
        "folds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "folded_exactly": folded.exact,
        "largest_border_deviation": max((fold.deviation for fold in folded.folds), default=0.0),
    }
