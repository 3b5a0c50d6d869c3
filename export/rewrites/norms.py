"""Norms over the picture, written in NHWC with two full-size operations."""

from __future__ import annotations

import torch
from torch import fx, nn

from edgegan.export.rewrites.edits import is_pointwise, layer_of, only_user, replace_layer
from edgegan.export.rewrites.removal import LARGE_MEAN, is_instance_norm


class ChannelLastNorm(nn.Module):
    """InstanceNorm or GroupNorm over NHWC as x * factor + offset: no TRANSPOSE is left, two full-size writes
    instead of four.

    Variance is E[x^2] - E[x]^2; `safe` takes E[(x - E[x])^2] instead, one more full-size operation, for channels whose
    mean is large against their deviation. Means are taken over width, then over height: XNNPACK sums each MEAN one by
    one in float32, and 65,536 terms lose two decimal digits where twice 256 lose none (measured: largest error 2.6e-4
    against 2e-6). Groups average the channels' two small statistics. Without `centre` the offset is left out, for norms
    whose next norm cancels it.
    """

    def __init__(
        self, norm: nn.InstanceNorm2d | nn.GroupNorm, *, centre: bool = True, safe: bool = False
    ) -> None:
        super().__init__()
        self.eps, self.centre, self.safe = norm.eps, centre, safe
        self.groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else None
        self.scale = None if norm.weight is None else nn.Parameter(norm.weight.detach().clone())
        self.shift = None if norm.bias is None else nn.Parameter(norm.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        y = x.permute(0, 2, 3, 1)
        mean = self.average(y)
        if self.safe:
            y = y - mean
            variance = self.average(y * y)
        else:
            variance = torch.relu(self.average(y * y) - mean * mean)
        factor = torch.rsqrt(variance + self.eps)
        if self.scale is not None:
            factor = factor * self.scale
        y = y * factor
        if self.safe:
            y = y if self.shift is None else y + self.shift
        elif self.centre:
            offset = mean * -factor
            y = y + (offset if self.shift is None else offset + self.shift)
        return y.permute(0, 3, 1, 2)

    def average(self, y: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) -> (N, 1, 1, C), one axis after the other, then over the channels of each group."""
        mean = y.mean(2, keepdim=True).mean(1, keepdim=True)
        if self.groups is None:
            return mean
        if self.groups == 1:
            return mean.mean(3, keepdim=True)
        n, _, _, channels = mean.shape
        parts = mean.reshape(n, 1, self.groups, channels // self.groups)
        parts = parts.mean(3, keepdim=True).expand(n, 1, self.groups, channels // self.groups)
        return parts.reshape(n, 1, 1, channels)


def channel_last_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """InstanceNorm or GroupNorm -> the same in NHWC."""
    layer = layer_of(graph, node)
    if not is_instance_norm(layer) and not isinstance(layer, nn.GroupNorm):
        return False
    assert isinstance(layer, (nn.InstanceNorm2d, nn.GroupNorm))
    ratio = node.meta.get("input_mean_ratio", 0.0)
    replace_layer(graph, node, ChannelLastNorm(layer, safe=ratio > LARGE_MEAN))
    return True


def scale_only_norm(graph: fx.GraphModule, node: fx.Node) -> bool:
    """A plain InstanceNorm, a 1x1 convolution, another InstanceNorm: the second subtracts what is constant over the
    picture, so the first need not subtract its mean."""
    layer, after = layer_of(graph, node), only_user(node)
    last = only_user(after) if after is not None else None
    if not isinstance(layer, nn.InstanceNorm2d) or not is_instance_norm(layer) or layer.affine:
        return False
    if not is_pointwise(layer_of(graph, after)) or not is_instance_norm(layer_of(graph, last)):
        return False
    if node.meta.get("input_mean_ratio", 0.0) > LARGE_MEAN:
        return False
    replace_layer(graph, node, ChannelLastNorm(layer, centre=False))
    return True
