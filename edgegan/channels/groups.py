"""Channel groups: which dimensions of which tensors of a generator have one width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx


@dataclass(frozen=True)
class Segment:
    """A run of a dimension: `repeat` neighbouring entries for each channel of `group`."""

    group: str
    repeat: int


@dataclass(frozen=True)
class Member:
    """A dimension of a parameter or buffer in which a group occurs, with all segments of that
    dimension."""

    tensor: str
    dim: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Group:
    """Channels that live and die together. `name` is the layer that makes them first, or a network
    input.

    Groups of the network's input and output are `fixed`, and those that an operation holds.
    """

    name: str
    size: int
    fixed: bool
    members: tuple[Member, ...]


@dataclass(frozen=True)
class LayerCount:
    """An integer attribute of a layer, or the first of a tuple: entries of `segments` /
    `divisor`."""

    module: str
    attribute: str
    segments: tuple[Segment, ...]
    divisor: int


@dataclass(frozen=True)
class Held:
    """An operation that keeps the width of the channels around it, why, and the groups that it
    fixes."""

    operation: str
    reason: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class ChannelGraph:
    """Everything that a change of widths needs to know.

    `dimensions[tensor][dim]` are the segments of a tensor's dimension, `counts` the integers of
    layers that follow, `nodes[node name]` the segments of a traced value's channel axis where that
    is axis 1. `program` is the trace; `rewritten` says that its literal sizes were made to follow
    the channels, so that it must run instead of the module's own forward. `held` are the operations
    around which channels keep their width.
    """

    groups: dict[str, Group]
    dimensions: dict[str, dict[int, tuple[Segment, ...]]]
    counts: tuple[LayerCount, ...]
    nodes: dict[str, tuple[Segment, ...]]
    program: fx.GraphModule
    rewritten: bool
    held: tuple[Held, ...] = ()

    def free(self) -> list[Group]:
        """The groups whose width can change, in the order the network makes them."""
        return [group for group in self.groups.values() if not group.fixed]

    def total(self, segments: tuple[Segment, ...]) -> int:
        """Entries of a full dimension."""
        return sum(self.groups[each.group].size * each.repeat for each in segments)
