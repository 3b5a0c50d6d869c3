"""Taps in a traced network: which operation gives a module's output, and which channels it has."""

from __future__ import annotations

from collections.abc import Iterable

from torch import fx

from edgegan.channels.groups import ChannelGraph, Segment
from edgegan.errors import ConfigError


def tap_node(nodes: Iterable[fx.Node], tap: str) -> fx.Node:
    """The traced node that is a module's output: the last one made inside it; raises ConfigError where none is."""
    found = None
    for node in nodes:
        inside = [place[0] for place in (node.meta.get("nn_module_stack") or {}).values()]
        if (node.op == "call_module" and node.target == tap) or tap in inside:
            found = node
    if found is None:
        raise ConfigError(f"tap '{tap}' was not met when the generator was traced")
    return found


def tap_segments(graph: ChannelGraph, tap: str) -> tuple[Segment, ...]:
    """The channels of a module's output."""
    known = (node for node in graph.program.graph.nodes if node.name in graph.nodes)
    return graph.nodes[tap_node(known, tap).name]
