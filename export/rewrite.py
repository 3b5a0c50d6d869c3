"""Rewrites before conversion, each exact or with its bound stated: their order, what each target gets, the walk."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import ShapeProp

from edgegan.export.rewrites.activations import (
    activate_before_concat,
    activate_in_phases,
    channel_last_activation,
)
from edgegan.export.rewrites.folding import (
    absorb_pre_activation_norm,
    explicit_batch_norm,
    fold_affine_into_pointwise,
    fold_batch_norm_forward,
    fold_constant,
    fuse_batch_norm,
)
from edgegan.export.rewrites.edits import Pass, Rewrite, source_of
from edgegan.export.rewrites.heads import strided_head
from edgegan.export.rewrites.linear_pairs import (
    StatisticsRecorder,
    equalise_linear_pair,
    merge_linear_pair,
)
from edgegan.export.rewrites.norms import channel_last_norm, scale_only_norm
from edgegan.export.rewrites.padding import concat_pad
from edgegan.export.rewrites.phases import (
    enlarge_after_pointwise,
    insert_zeros,
    merge_enlargement,
    split_transposed,
)
from edgegan.export.rewrites.preparation import prepare
from edgegan.export.rewrites.removal import (
    centre_before_norm,
    drop_bias_before_norm,
    drop_no_op,
    freeze_norm,
    merge_zero_padding,
    number_padding,
    split_padding,
)
from edgegan.export.rewrites.resizing import block_shuffle, slice_nearest

FOLDS: dict[str, Pass] = {
    "drop_no_op": drop_no_op,
    "split_padding": split_padding,
    "number_padding": number_padding,
    "merge_zero_padding": merge_zero_padding,
    "freeze_norm": freeze_norm,
    "fuse_batch_norm": fuse_batch_norm,
    "fold_batch_norm_forward": fold_batch_norm_forward,
    "absorb_pre_activation_norm": absorb_pre_activation_norm,
    "fold_constant": fold_constant,
    "fold_affine_into_pointwise": fold_affine_into_pointwise,
    "drop_bias_before_norm": drop_bias_before_norm,
    "enlarge_after_pointwise": enlarge_after_pointwise,
    "merge_linear_pair": merge_linear_pair,
}
MEASURED: dict[str, Pass] = {
    "centre_before_norm": centre_before_norm,
    "equalise_linear_pair": equalise_linear_pair,
}
COMMON = FOLDS | MEASURED
SHAPED = {
    "drop_no_op",
    "absorb_pre_activation_norm",
    "enlarge_after_pointwise",
    "merge_linear_pair",
    "merge_enlargement",
    "slice_nearest",
    "strided_head",
    "channel_last_activation",
}
PASSES: dict[str, dict[str, Pass]] = {
    "onnx": COMMON,
    "tflite": {
        **COMMON,
        "explicit_batch_norm": explicit_batch_norm,
        "activate_before_concat": activate_before_concat,
        "merge_enlargement": merge_enlargement,
        "slice_nearest": slice_nearest,
        "concat_pad": concat_pad,
        "strided_head": strided_head,
        "block_shuffle": block_shuffle,
        "split_transposed": split_transposed,
        "insert_zeros": insert_zeros,
        "activate_in_phases": activate_in_phases,
        "scale_only_norm": scale_only_norm,
        "channel_last_norm": channel_last_norm,
        "channel_last_activation": channel_last_activation,
    },
}


def rewrite(
    module: nn.Module, samples: torch.Tensor, target: str, without: Collection[str] = ()
) -> tuple[fx.GraphModule, list[Rewrite]]:
    """A rewritten copy of `module` for `target` ("tflite" or "onnx") at the size of `samples` (N, ...).

    The samples are typical inputs: channel ranges are read from them. `without` names rewrites to leave out.
    """
    graph = prepare(module)
    records: list[Rewrite] = []
    changed = True
    for name, change in PASSES[target].items():
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


def propagate_shapes(graph: fx.GraphModule, example: torch.Tensor) -> None:
    """Notes the shape of every node's output; nothing is computed."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        ShapeProp(graph, fake_mode=mode).propagate(mode.from_tensor(example))


def record_statistics(graph: fx.GraphModule, samples: torch.Tensor) -> None:
    """Runs the samples and notes every node's channel statistics, and those of its input."""
    with torch.no_grad():
        for sample in samples:
            StatisticsRecorder(graph).run(sample[None])
    for node in graph.graph.nodes:
        if node.op == "call_module":
            node.meta["input_mean_ratio"] = source_of(node).meta.get("mean_ratio", 0.0)
