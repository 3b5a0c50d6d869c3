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
    build: Build, measure: Measure, ranking: list[Effect], limit_db: float, plain_db: float
) -> tuple[list[Effect], float]:
    """The shortest head of the ranking that, left float, brings the artefact to `limit_db`, and what it reaches.

    A layer without which the artefact was better is given back. All of the ranking when nothing reaches the limit.
    """
    kept: list[Effect] = []
    reached = plain_db
    with progress("max-drop", len(ranking)) as bar:
        for position, effect in enumerate(ranking):
            if reached >= limit_db:
                break
            found = measure(build(all_operations([*kept, effect])))
            if found > reached:
                kept.append(effect)
                say(f"  max-drop keeps {effect.layer} float: {reached:.2f} -> {found:.2f} dB")
                reached = found
            bar.step(position + 1)
    return kept, reached


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
