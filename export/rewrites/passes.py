"""The rewrites in the order they are made: those of every target, and those for runtimes of channel-last pictures."""

from __future__ import annotations

from edgegan.export.rewrites.activations import (
    activate_before_concat,
    activate_in_phases,
    channel_last_activation,
)
from edgegan.export.rewrites.edits import Pass
from edgegan.export.rewrites.folding import (
    absorb_pre_activation_norm,
    explicit_batch_norm,
    fold_affine_into_pointwise,
    fold_batch_norm_forward,
    fold_constant,
    fuse_batch_norm,
)
from edgegan.export.rewrites.heads import strided_head
from edgegan.export.rewrites.linear_pairs import equalise_linear_pair, merge_linear_pair
from edgegan.export.rewrites.norms import channel_last_norm, scale_only_norm
from edgegan.export.rewrites.padding import concat_pad
from edgegan.export.rewrites.phases import (
    enlarge_after_pointwise,
    insert_zeros,
    merge_enlargement,
    split_transposed,
)
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
CHANNEL_LAST: dict[str, Pass] = {
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
}
