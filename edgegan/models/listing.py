"""What `edgegan zoo` and `edgegan inspect` show: published generators with their costs; a package layer by layer."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgegan.channels.graph import trace_channels
from edgegan.channels.groups import ChannelGraph
from edgegan.console import table
from edgegan.metrics.complexity import Complexity, measure
from edgegan.models.catalogue import catalogue, measure_spec
from edgegan.models.origins import read_origins
from edgegan.models.zoo import check_package_size, load_generator, parse_spec
from edgegan.package import PackageConfig, input_shape
from edgegan.streams import printable

MOST_HELD = 12
DIGITS = 12


def zoo_rows() -> list[dict[str, Any]]:
    """Every published generator with its costs at the size its figures are quoted at."""
    return [
        {
            "name": each.name,
            "family": family,
            "source": each.source,
            "input": each.spec.takes.model_dump(mode="json"),
            **measure_spec(each.spec, each.size).summary(),
        }
        for family, each in catalogue()
    ]


def zoo_table(rows: list[dict[str, Any]]) -> str:
    """The zoo for people."""
    headers = [
        "generator",
        "family",
        "output",
        "parameters",
        "MB fp32",
        "GMACs",
        "output-sized",
        "published",
        "source",
    ]
    cells = [
        [
            row["name"],
            row["family"],
            f"{row['size'][0]}x{row['size'][1]}",
            f"{row['parameters']:,}",
            f"{row['bytes_fp32'] / 1e6:.2f}",
            f"{row['macs'] / 1e9:.3f}",
            f"{row['macs_output_sized'] / 1e9:.3f}",
            f"{row['macs_published'] / 1e9:.3f}",
            row["source"],
        ]
        for row in rows
    ]
    return (
        f"{table(headers, cells)}\n"
        "GMACs: true multiply-adds. output-sized: transposed convolutions counted at their output. "
        "published: that plus one for every InstanceNorm element."
    )


def inspect_package(folder: Path, size: tuple[int, int] | None) -> dict[str, Any]:
    """Layers with shape, MACs, parameters and share, and channel groups with their members and costs."""
    config, module = load_generator(folder)
    check_package_size(config, size or config.size)
    example = torch.zeros(input_shape(config.input, size or config.size))
    complexity = measure(module, example, cross_check=False)
    graph = trace_channels(module, small_example(config))
    origins = read_origins(folder, config)
    layers = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "output_shape": list(layer.output_shape),
            "parameters": layer.parameters,
            "macs": layer.macs,
            "share": layer.macs / complexity.macs if complexity.macs else 0.0,
        }
        for layer in complexity.layers
    ]
    return {
        "package": str(folder),
        "name": config.name,
        "family": config.family,
        "role": config.role,
        "input": config.input.model_dump(mode="json"),
        "output": config.output.model_dump(mode="json"),
        "licence": config.licence,
        **complexity.summary(),
        "layers": layers,
        "groups": group_rows(graph, complexity),
        "free_share": free_share(module, graph),
        "held": [dataclasses.asdict(each) for each in graph.held],
        "source": config.source,
        "origins": {name: each.model_dump() for name, each in origins.items()} if origins else None,
    }


def small_example(config: PackageConfig) -> torch.Tensor:
    """The smallest input of at least 64 pixels a side that the generator takes: enough to trace its channels."""
    spec = parse_spec(config.family, config.spec)
    side = -(-max(spec.min_size, 64) // spec.stride) * spec.stride
    return torch.zeros(input_shape(config.input, spec.size or (side, side)))


def free_share(module: nn.Module, graph: ChannelGraph) -> float:
    """The share of parameters that a narrower form of the generator can have fewer of."""
    free = {group.name for group in graph.free()}
    sizes = {name: each.numel() for name, each in module.named_parameters()}
    narrower = sum(
        size
        for name, size in sizes.items()
        if any(part.group in free for part in chain(*graph.dimensions.get(name, {}).values()))
    )
    return narrower / max(1, sum(sizes.values()))


def group_rows(graph: ChannelGraph, complexity: Complexity) -> list[dict[str, Any]]:
    """Channel groups with what touches them: layers, and the MACs and parameters of those layers."""
    costs = {layer.name: layer for layer in complexity.layers}
    rows = []
    for group in graph.groups.values():
        layers = list(dict.fromkeys(member.tensor.rpartition(".")[0] for member in group.members))
        touched = [costs[name] for name in layers if name in costs]
        rows.append(
            {
                "name": group.name,
                "channels": group.size,
                "fixed": group.fixed,
                "layers": layers,
                "macs": sum(layer.macs for layer in touched),
                "parameters": sum(layer.parameters for layer in touched),
            }
        )
    return rows


def inspect_table(found: dict[str, Any]) -> str:
    """A package for people: its layers that compute, then its channel groups."""
    rows = [
        [
            layer["name"],
            layer["kind"],
            "x".join(map(str, layer["output_shape"][1:])),
            f"{layer['parameters']:,}",
            f"{layer['macs'] / 1e6:,.1f}",
            f"{100 * layer['share']:.1f} %",
        ]
        for layer in found["layers"]
        if layer["parameters"] or layer["macs"]
    ]
    layers = table(["layer", "kind", "output CxHxW", "parameters", "MMACs", "share"], rows)
    groups = table(
        ["channel group", "channels", "", "layers", "MMACs of its layers"],
        [
            [
                group["name"],
                str(group["channels"]),
                "fixed" if group["fixed"] else "",
                shorten(group["layers"]),
                f"{group['macs'] / 1e6:,.1f}",
            ]
            for group in found["groups"]
        ],
    )
    head = printable(
        f"{found['name']}: family {found['family']}, {found['role']}, {found['parameters']:,} parameters, "
        f"{found['macs'] / 1e9:.3f} GMACs at {found['size'][0]}x{found['size'][1]} "
        f"(output-sized {found['macs_output_sized'] / 1e9:.3f}, published {found['macs_published'] / 1e9:.3f})"
    )
    free = (
        f"{100 * found['free_share']:.1f} % of the parameters are in channels that can be narrowed."
    )
    return f"{head}\n\n{layers}\n\n{groups}\n\n{free}{held_table(found['held'])}"


def origins_table(found: dict[str, Any]) -> str:
    """Where each tensor of a package came from, for people."""
    if found["origins"] is None:
        return "\n\nNothing is kept of where its tensors came from: it came out of its factory or a training."
    rows = []
    for name, each in found["origins"].items():
        changed = " (values changed)" if each["changed"] else ""
        key = each["key"]
        rows.append(
            [
                printable(name),
                "made at import" if key is None else printable(key) + changed,
                (each["sha256"] or "")[:DIGITS],
            ]
        )
    return "\n\n" + table(["tensor", "key in the checkpoint", "sha256"], rows)


def held_table(held: list[dict[str, Any]]) -> str:
    """What keeps the width of the other channels: the operations that fix some, the first few of each reason."""
    rows = [
        [printable(each["operation"]), printable(each["reason"]), shorten(each["groups"])]
        for each in held
        if each["groups"]
    ]
    if not rows:
        return ""
    more = f"\nand {len(rows) - MOST_HELD} more (--json has all)" if len(rows) > MOST_HELD else ""
    return "\n\n" + table(["kept by", "because", "channel groups"], rows[:MOST_HELD]) + more


def shorten(names: list[str], most: int = 4) -> str:
    """The first few names and how many more there are."""
    more = f" +{len(names) - most}" if len(names) > most else ""
    return " ".join(names[:most]) + more
