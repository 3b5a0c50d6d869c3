"""Which layers int8 costs most: each left float in turn, ranked; and how few must stay float to keep a quality."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegan.console import progress, say
from edgegan.files import write_atomic

Build = Callable[[tuple[str, ...]], Path]
Measure = Callable[[Path], float]


@dataclass(frozen=True)
class Layer:
    """A layer that int8 can leave alone; `operations` are the artefact's that stay float with it."""

    name: str
    operations: tuple[str, ...]
    kind: str
    macs: int


@dataclass(frozen=True)
class Effect:
    """What the artefact gains when one layer stays float."""

    layer: str
    operations: tuple[str, ...]
    kind: str
    macs: int
    psnr_db: float
    gain_db: float


def rank_layers(
    build: Build, measure: Measure, layers: list[Layer], plain_db: float
) -> list[Effect]:
    """Every layer left float alone, the one that gains most first.

    `build` makes an artefact with some operations float, `measure` is its PSNR in dB, `plain_db` that of none float.
    """
    effects = []
    with progress("sensitivity", len(layers)) as bar:
        for position, layer in enumerate(layers):
            found = measure(build(layer.operations))
            effects.append(
                Effect(
                    layer.name, layer.operations, layer.kind, layer.macs, found, found - plain_db
                )
            )
            bar.step(position + 1, f"{layer.name} {found - plain_db:+.2f} dB")
    return sorted(effects, key=lambda effect: -effect.gain_db)


def keep_worst_float(
    build: Build,
    measure: Measure,
    ranking: list[Effect],
    layers: list[Layer],
    limit_db: float,
    plain_db: float,
) -> tuple[list[Effect], float]:
    """The layers that, left float, bring the artefact to `limit_db` with the fewest multiply-adds in float, and what it
    then reaches; all of them when nothing does.

    Tried are the shortest heads of three orders: the ranking, and where errors add up along the net so that no layer
    alone matters, `layers` (in order of execution) from the output back and from the input on.
    """
    if plain_db >= limit_db:
        return [], plain_db
    place = {layer.name: index for index, layer in enumerate(layers)}
    forward = sorted(ranking, key=lambda effect: place[effect.layer])
    best: tuple[list[Effect], float] | None = None
    for order in (ranking, forward[::-1], forward):
        found = shortest_head(build, measure, order, limit_db)
        if found is not None and (best is None or sum_macs(found[0]) < sum_macs(best[0])):
            best = found
    if best is None:
        best = list(ranking), measure(build(all_operations(ranking)))
    kept, reached = best
    names = ", ".join(effect.layer for effect in kept)
    say(f"  max-drop keeps float: {names}: {plain_db:.2f} -> {reached:.2f} dB")
    return best


def shortest_head(
    build: Build, measure: Measure, order: list[Effect], limit_db: float
) -> tuple[list[Effect], float] | None:
    """The shortest head of `order` that reaches `limit_db`, found by halving, and its PSNR; None when none does."""
    low, high = 0, len(order)
    reached = measure(build(all_operations(order)))
    if reached < limit_db:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        found = measure(build(all_operations(order[:middle])))
        say(f"  max-drop tries {middle} of {len(order)} layers float: {found:.2f} dB")
        if found >= limit_db:
            high, reached = middle, found
        else:
            low = middle
    return order[:high], reached


def sum_macs(effects: list[Effect]) -> int:
    """Multiply-adds of some layers."""
    return sum(each.macs for each in effects)


def all_operations(effects: list[Effect]) -> tuple[str, ...]:
    """Every operation that stays float when these layers do."""
    return tuple(dict.fromkeys(name for each in effects for name in each.operations))


def as_csv(ranking: list[Effect]) -> str:
    """The ranking as a table with one line a layer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "layer", "operation", "macs", "psnr_with_it_float_db", "gain_db"])
    for rank, each in enumerate(ranking, 1):
        figures = [f"{each.psnr_db:.3f}", f"{each.gain_db:.3f}"]
        writer.writerow([rank, each.layer, each.kind, each.macs, *figures])
    return text.getvalue()


def write_csv(path: Path, ranking: list[dict[str, Any]]) -> None:
    """Stores a ranking beside its artefact."""
    write_atomic(path, as_csv([Effect(**each) for each in ranking]).encode())
