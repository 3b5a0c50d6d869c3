"""Scales that pruning acts on: those of norms, and a gate for every group of channels whose norms have none.

A gate multiplies the weights that read its channel, so folding it away is a product, exact for any network.
"""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.utils import parametrize

from edgegan.channels.groups import ChannelGraph, Group
from edgegan.channels.importance import norm_scales, per_channel, readers
from edgegan.channels.slicing import Plan


class Gate(nn.Module):
    """The parametrisation of one reading weight: its columns times the gates of the groups they read."""

    def __init__(self, gates: list[nn.Parameter], repeats: list[int], dim: int) -> None:
        super().__init__()
        self.hidden = (gates, repeats)  # a tuple, so that torch does not register them again here
        self.dim = dim

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The gated weight."""
        runs = [
            gate.repeat_interleave(repeat)
            for gate, repeat in zip(self.hidden[0], self.hidden[1], strict=True)
        ]
        shape = [1] * weight.dim()
        shape[self.dim] = -1
        return weight * torch.cat(runs).reshape(shape)


class Gates(nn.Module):
    """Gates of the groups that no norm scales, attached to the weights that read them."""

    def __init__(self, student: nn.Module, graph: ChannelGraph) -> None:
        super().__init__()
        device = next(student.parameters()).device
        groups = [group for group in graph.free() if not list(norm_scales(student, group))]
        self.groups = [group.name for group in groups]
        self.values = nn.ParameterList(
            nn.Parameter(torch.ones(group.size, device=device)) for group in groups
        )
        self.attached: list[str] = []

    def of(self, group: str) -> nn.Parameter:
        """The gate of a group."""
        return self.values[self.groups.index(group)]

    def attach(self, student: nn.Module, graph: ChannelGraph) -> None:
        """Lets the weights that read gated groups pass through their gates."""
        places = {
            name: dim
            for group in graph.free()
            if group.name in self.groups
            for name, dim in readers(student, group)
        }
        for name, dim in places.items():
            segments = graph.dimensions[name][dim]
            if any(each.group not in self.groups for each in segments):
                continue
            owner = name.rpartition(".")[0]
            gate = Gate(
                [self.of(each.group) for each in segments],
                [each.repeat for each in segments],
                dim,
            )
            parametrize.register_parametrization(student.get_submodule(owner), "weight", gate)
            self.attached.append(owner)

    def fold(self, student: nn.Module) -> None:
        """Multiplies the gates into the weights and takes them off."""
        self.detach_from(student, keep=True)

    def release(self, student: nn.Module) -> None:
        """Takes the gates off and leaves the weights as they are without them."""
        self.detach_from(student, keep=False)

    def detach_from(self, student: nn.Module, *, keep: bool) -> None:
        """Takes the gates off; `keep`: what they did stays in the weights."""
        for owner in self.attached:
            layer = student.get_submodule(owner)
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=keep)
        self.attached = []


def scale_names(student: nn.Module, graph: ChannelGraph) -> set[str]:
    """Names of the norm scales of free groups."""
    return {name for group in graph.free() for name, _ in norm_scales(student, group)}


def scale_scores(
    student: nn.Module, graph: ChannelGraph, gates: Gates | None
) -> dict[str, torch.Tensor]:
    """The summed absolute scales of each channel, each group's mean one; gates where a group has no scales."""
    scores = {}
    for group in graph.free():
        found = scores_of(student, graph, group)
        if gates is not None and group.name in gates.groups:
            found = gates.of(group.name).detach().abs()
        scores[group.name] = found / found.mean().clamp_min(1e-12)
    return scores


def scores_of(student: nn.Module, graph: ChannelGraph, group: Group) -> torch.Tensor:
    """The summed absolute norm scales of one group (size,), ones where it has none."""
    parts = [
        per_channel(student.get_parameter(name).detach().abs(), name, dim, graph, group)
        for name, dim in norm_scales(student, group)
    ]
    return torch.stack(parts).sum(0) if parts else torch.ones(group.size)


def soft_threshold(scale: torch.Tensor, amount: float) -> None:
    """The proximal step of `amount` * L1, in place."""
    with torch.no_grad():
        scale.copy_(scale.sign() * (scale.abs() - amount).clamp_min(0.0))


@runtime_checkable
class WholeNorm(Protocol):
    """A family's own norm over all channels, that can leave some out of its statistics; `along` is its parameter with
    one entry a channel."""

    along: str

    def leave_out(self, live: torch.Tensor) -> None:
        """Takes statistics of the channels that are `live` (C,) alone."""


class LiveGroupNorm(nn.Module):
    """A GroupNorm of one group whose statistics leave pruned channels out."""

    def __init__(self, norm: nn.GroupNorm, live: torch.Tensor) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("live", live)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        live = self.get_buffer("live")
        kept = x[:, live].flatten(1)
        shape = (-1, *[1] * (x.dim() - 1))
        variance, mean = torch.var_mean(kept, 1, correction=0)
        y = (x - mean.reshape(shape)) * torch.rsqrt(variance.reshape(shape) + self.norm.eps)
        if self.norm.affine:
            vector = (1, -1, *[1] * (x.dim() - 2))
            y = y * self.norm.weight.reshape(vector) + self.norm.bias.reshape(vector)
        return y


def prune_in_place(module: nn.Module, graph: ChannelGraph, plan: Plan) -> nn.Module:
    """A copy of full size in which the channels outside `plan` are silent: nothing reads them.

    What `extract` makes of the same plan must compute the same; `slim` checks that at every cut.
    """
    masked = copy.deepcopy(module)
    live = {}
    for group in graph.groups.values():
        choice = plan.get(group.name, group.size)
        mask = torch.zeros(group.size, dtype=torch.bool)
        mask[torch.arange(choice) if isinstance(choice, int) else choice.cpu()] = True
        live[group.name] = mask
    with torch.no_grad():
        for group in graph.free():
            for name, dim in readers(module, group):
                runs = [
                    live[each.group].repeat_interleave(each.repeat)
                    for each in graph.dimensions[name][dim]
                ]
                weight = masked.get_parameter(name)
                shape = [1] * weight.dim()
                shape[dim] = -1
                weight.mul_(torch.cat(runs).to(weight).reshape(shape))
    for name, layer in list(masked.named_modules()):
        along = layer.along if isinstance(layer, WholeNorm) else "weight"
        dims = graph.dimensions.get(f"{name}.{along}", {})
        if isinstance(layer, nn.GroupNorm) and layer.num_groups == 1 and 0 in dims:
            runs = [live[each.group].repeat_interleave(each.repeat) for each in dims[0]]
            owner, _, leaf = name.rpartition(".")
            setattr(masked.get_submodule(owner), leaf, LiveGroupNorm(layer, torch.cat(runs)))
        elif isinstance(layer, WholeNorm) and 0 in dims:
            runs = [live[each.group].repeat_interleave(each.repeat) for each in dims[0]]
            layer.leave_out(torch.cat(runs))
    return masked
