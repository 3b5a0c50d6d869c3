"""Which channels matter most, and putting them first: exact, in place, the network's output
unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import torch
from torch import nn

from edgegan.channels import rules
from edgegan.channels.groups import ChannelGraph, Group
from edgegan.channels.slicing import named_tensors, slice_tensor
from edgegan.errors import ConfigError

Method = Literal["l1", "norm", "taylor"]
Scores = dict[str, torch.Tensor]
Norms = (*rules.BatchNorms, *rules.InstanceNorms, nn.GroupNorm)


def score_channels(
    module: nn.Module,
    graph: ChannelGraph,
    method: Method,
    loss: Callable[[], torch.Tensor] | None = None,
) -> Scores:
    """A score of every channel of every free group (size,), higher is more important.

    "l1" sums the absolute weights that read the channel (what writes it says nothing before a
    norm), each reading layer's share of one; "norm" sums the absolute scales of its norms (network
    slimming); "taylor" is the absolute first-order change of `loss()` when the channel goes: |sum
    of weight * gradient| over the weights that read it (Molchanov et al. 2019). Raises ConfigError
    for a group that has no such weights, and for "taylor" without a loss.
    """
    if method == "taylor":
        return taylor_scores(module, graph, loss)
    scores = {}
    for group in graph.free():
        found = list(norm_scales(module, group) if method == "norm" else readers(module, group))
        if not found:
            raise ConfigError(f"group '{group.name}' has no weights to score by '{method}'")
        parts = []
        for name, dim in found:
            part = per_channel(module.get_parameter(name).detach().abs(), name, dim, graph, group)
            parts.append(part if method == "norm" else part / part.sum().clamp_min(1e-12))
        scores[group.name] = torch.stack(parts).sum(0)
    return scores


def taylor_scores(
    module: nn.Module, graph: ChannelGraph, loss: Callable[[], torch.Tensor] | None
) -> Scores:
    """First-order scores of a loss computed with this module's weights."""
    if loss is None:
        raise ConfigError("scores by 'taylor' need a loss")
    names = {name for group in graph.free() for name, _ in readers(module, group)}
    weights = {name: module.get_parameter(name) for name in sorted(names)}
    gradients = torch.autograd.grad(loss(), list(weights.values()), allow_unused=True)
    change = {
        name: torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    scores = {}
    for group in graph.free():
        parts = [
            per_channel(change[name], name, dim, graph, group)
            for name, dim in readers(module, group)
        ]
        if not parts:
            raise ConfigError(f"group '{group.name}' has no weights to score by 'taylor'")
        scores[group.name] = torch.stack(parts).sum(0).abs()
    return scores


def readers(module: nn.Module, group: Group) -> Iterator[tuple[str, int]]:
    """Weights of dense layers that read the group, with the dimension that does."""
    return dense_weights(module, group, straight_dim=1)


def writers(module: nn.Module, group: Group) -> Iterator[tuple[str, int]]:
    """Weights of dense layers that write the group, with the dimension that does."""
    return dense_weights(module, group, straight_dim=0)


def dense_weights(module: nn.Module, group: Group, straight_dim: int) -> Iterator[tuple[str, int]]:
    """Weights of dense layers in which the group stands in this dimension, in the other one of the
    first two where the layer is transposed."""
    for member in group.members:
        layer = module.get_submodule(member.tensor.rpartition(".")[0])
        dense = isinstance(layer, nn.Linear)
        if isinstance(layer, rules.Convolutions):
            dense = layer.groups == 1
        if dense and member.tensor.endswith(".weight"):
            dim = 1 - straight_dim if isinstance(layer, rules.Transposed) else straight_dim
            if member.dim == dim:
                yield member.tensor, dim


def strongest_channels(
    module: nn.Module, graph: ChannelGraph, widths: Mapping[str, int]
) -> dict[str, torch.Tensor]:
    """The channels of every free group that are written with the largest summed absolute weight, as
    many as `widths` says, largest first (weight_transfer.py of GAN Compression).

    Groups are met in the order the network makes them: weights that read a channel which is gone do
    not count. Of several layers that write a group the first decides. Raises ConfigError for a group
    that no dense layer writes, and for one that has fewer channels.
    """
    kept: dict[str, torch.Tensor] = {}
    for group in graph.free():
        wanted = widths.get(group.name, group.size)
        found = next(writers(module, group), None)
        if found is None or wanted > group.size:
            raise ConfigError(
                f"group '{group.name}' has {group.size} channels, {wanted} are wanted"
                if found
                else f"group '{group.name}' has no weights that write it"
            )
        name, dim = found
        sides = {side: parts for side, parts in graph.dimensions[name].items() if side != dim}
        weight = slice_tensor(module.get_parameter(name).detach().abs(), sides, graph, kept)
        score = per_channel(weight, name, dim, graph, group)
        kept[group.name] = torch.argsort(score, descending=True, stable=True)[:wanted]
    return kept


def norm_scales(module: nn.Module, group: Group) -> Iterator[tuple[str, int]]:
    """Scales of the norms of the group."""
    for member in group.members:
        owner, _, leaf = member.tensor.rpartition(".")
        if leaf == "weight" and isinstance(module.get_submodule(owner), Norms):
            yield member.tensor, member.dim


def per_channel(
    tensor: torch.Tensor, name: str, dim: int, graph: ChannelGraph, group: Group
) -> torch.Tensor:
    """The sum of a tensor's entries for each channel of a group (size,)."""
    sums = tensor.transpose(0, dim).flatten(1).sum(1) if tensor.dim() > 1 else tensor
    result, start = torch.zeros(group.size, device=tensor.device), 0
    for segment in graph.dimensions[name][dim]:
        length = graph.groups[segment.group].size * segment.repeat
        if segment.group == group.name:
            run = sums[start : start + length]
            result = result + run.reshape(group.size, segment.repeat).sum(1)
        start += length
    return result


def order_channels(scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Channel indices of each group, the most important first; equal scores keep their order."""
    return {
        name: torch.argsort(score, descending=True, stable=True) for name, score in scores.items()
    }


def permute(module: nn.Module, graph: ChannelGraph, orders: Mapping[str, torch.Tensor]) -> None:
    """Reorders the channels of groups in place: channel i becomes the old channel orders[group][i].

    The network's function stays the same (sums change their order: 1e-5). Raises ConfigError for a
    fixed group or an order that is not a permutation.
    """
    for name, order in orders.items():
        group = graph.groups.get(name)
        if group is None or group.fixed:
            raise ConfigError(f"'{name}' is not a group whose channels can be reordered")
        if sorted(order.tolist()) != list(range(group.size)):
            raise ConfigError(f"group '{name}': the order must hold 0..{group.size - 1} once each")
    with torch.no_grad():
        for name, tensor in named_tensors(module):
            if name in graph.dimensions:
                tensor.copy_(slice_tensor(tensor, graph.dimensions[name], graph, orders))
