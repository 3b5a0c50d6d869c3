"""metrics.jsonl as curves: training and validation of every stage, and the budget that a pruning spends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegan.contracts.bounds import parse_json

WIDTH, HEIGHT, MARGIN = 600, 160, 6
STUDENT_STAGE = "distill"
NOT_CURVES = ("stage", "step", "learning_rate")


@dataclass(frozen=True)
class Line:
    """One curve: its points in the box, and the values it begins and ends with."""

    label: str
    points: str
    first: float
    last: float


@dataclass(frozen=True)
class Plot:
    """Curves that share both axes."""

    stage: str
    title: str
    steps: int
    low: float
    high: float
    lines: list[Line]


def read_entries(metrics: Path) -> Iterator[dict[str, Any]]:
    """Complete lines of a metrics file that name a step."""
    if not metrics.is_file():
        return
    for text in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = parse_json(text)
        except (ValueError, RecursionError):
            continue  # a line cut short by a kill
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            yield entry


def training_plots(metrics: Path) -> list[Plot]:
    """Loss, then every validated figure, of each stage in the order they ran; trials of one kind share a plot."""
    found: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for entry in read_entries(metrics):
        if "budget" in entry:
            continue
        stage = str(entry.get("stage", STUDENT_STAGE))
        keys = ["loss"] if "loss" in entry else [key for key in entry if key not in NOT_CURVES]
        for key in keys:
            if is_number(entry[key]):
                lines = found.setdefault((stage.split()[0], key), {})
                lines.setdefault(stage, []).append((entry["step"], float(entry[key])))
    plots = [make_plot(stage, title(key), lines) for (stage, key), lines in found.items()]
    return [plot for plot in plots if plot is not None]


def budget_plot(metrics: Path) -> Plot | None:
    """What the network costs after each cut beside what the schedule allowed; None when nothing was pruned."""
    lines: dict[str, list[tuple[int, float]]] = {"cost after the cut": [], "allowed": []}
    unit = ""
    for entry in read_entries(metrics):
        if "budget" in entry and is_number(entry.get("cost")) and is_number(entry.get("allowed")):
            unit = str(entry["budget"])
            lines["cost after the cut"].append((entry["step"], float(entry["cost"])))
            lines["allowed"].append((entry["step"], float(entry["allowed"])))
    return make_plot("budget", unit, lines)


def make_plot(stage: str, name: str, lines: dict[str, list[tuple[int, float]]]) -> Plot | None:
    """Curves of two points and more on common axes; None when there is none."""
    drawn = {label: points for label, points in lines.items() if len(points) >= 2}
    if not drawn:
        return None
    values = [value for points in drawn.values() for _, value in points]
    low, high = min(values), max(values)
    top = max(max(step for step, _ in drawn[label]) for label in drawn) or 1
    return Plot(
        stage,
        name,
        top,
        low,
        high,
        [
            Line(label, place(points, top, low, high), points[0][1], points[-1][1])
            for label, points in drawn.items()
        ],
    )


def place(points: Iterable[tuple[int, float]], top: int, low: float, high: float) -> str:
    """Points of a polyline in the box."""
    tall = HEIGHT - 2 * MARGIN
    span = max(high - low, 1e-12)
    return " ".join(
        f"{WIDTH * step / top:.1f},{HEIGHT - MARGIN - tall * (value - low) / span:.1f}"
        for step, value in points
    )


def title(key: str) -> str:
    """A metric's name in words."""
    return {"loss": "training loss", "validation_psnr_db": "validation PSNR to teacher, dB"}.get(
        key, key.replace("_", " ")
    )


def is_number(value: Any) -> bool:
    """A finite number, as a curve needs."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
