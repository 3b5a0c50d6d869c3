"""What a search found, for people: the Pareto front as a table, a file and a plot."""

from __future__ import annotations

from html import escape
from pathlib import Path

from edgegan.compress.search.evolution import Candidate, pareto
from edgegan.compress.search.widths import WidthSpace
from edgegan.console import table
from edgegan.files import write_atomic, write_json
from edgegan.recipe.kinds import COSTS
from edgegan.recipe.search_section import LOWER_IS_BETTER, metric_name, metric_value

WIDTH, HEIGHT, MARGIN = 640, 400, 56
TABLE_ROWS = 12


def write_front(
    folder: Path,
    space: WidthSpace,
    found: list[Candidate],
    chosen: Candidate,
    uniform: Candidate | None,
    cost: str,
    metric: str,
) -> list[Path]:
    """Writes front.json and front.svg: every candidate, the front, the chosen one and the best uniform scaling."""
    front = pareto(found, cost)
    write_json(
        folder / "front.json",
        {
            "cost": cost,
            "fitness": metric,
            **({"lower_is_better": True} if metric in LOWER_IS_BETTER else {}),
            "units": list(space.units),
            "candidates": len(found),
            "front": [entry(each) for each in front],
            "chosen": entry(chosen),
            "uniform": entry(uniform) if uniform else None,
        },
    )
    write_atomic(folder / "front.svg", plot(found, front, chosen, uniform, cost, metric).encode())
    return [folder / "front.json", folder / "front.svg"]


def entry(candidate: Candidate) -> dict[str, object]:
    """A candidate as JSON."""
    return {
        "genome": list(candidate.genome),
        "fitness": candidate.fitness,
        "costs": candidate.costs,
        "generation": candidate.generation,
    }


def written(metric: str, candidate: Candidate) -> str:
    """What a search goes by, as its metric is written: a distance grows with what is wrong."""
    return f"{metric_value(metric, candidate.fitness):.3f}"


def front_table(found: list[Candidate], chosen: Candidate, cost: str, metric: str) -> str:
    """The front's cheapest to dearest candidates, at most a dozen, always with the chosen one."""
    front = pareto(found, cost)
    step = max(1, -(-len(front) // TABLE_ROWS))
    shown = [each for i, each in enumerate(front) if i % step == 0 or each is chosen]
    unit, scale = COSTS[cost].unit, COSTS[cost].scale
    rows = [
        [
            "_".join(map(str, each.genome)),
            f"{each.costs[cost] / scale:,.1f}",
            f"{each.costs['params'] / 1e3:,.0f}",
            written(metric, each),
            "chosen" if each is chosen else "",
        ]
        for each in shown
    ]
    return table(["widths", unit, "thousand parameters", metric_name(metric), ""], rows)


def plot(
    found: list[Candidate],
    front: list[Candidate],
    chosen: Candidate,
    uniform: Candidate | None,
    cost: str,
    metric: str,
) -> str:
    """A scatter plot, cost to the right and fitness upward, as a standalone SVG."""
    unit, scale = COSTS[cost].unit, COSTS[cost].scale
    xs = [each.costs[cost] / scale for each in found]
    ys = [each.fitness for each in found]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)

    def place(each: Candidate) -> tuple[float, float]:
        across = (each.costs[cost] / scale - low_x) / max(high_x - low_x, 1e-12)
        up = (each.fitness - low_y) / max(high_y - low_y, 1e-12)
        return (
            MARGIN + across * (WIDTH - 1.5 * MARGIN),
            HEIGHT - MARGIN - up * (HEIGHT - 1.5 * MARGIN),
        )

    def dot(each: Candidate, radius: float, style: str, label: str) -> str:
        x, y = place(each)
        title = escape(f"{label}{'_'.join(map(str, each.genome))}: {written(metric, each)}")
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {style}><title>{title}</title></circle>'

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, front))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{MARGIN} {MARGIN / 2}V{HEIGHT - MARGIN}H{WIDTH - MARGIN / 2}" fill="none" stroke="#888"/>',
        *(dot(each, 3, 'fill="#b8c4d0"', "") for each in found),
        f'<polyline points="{line}" fill="none" stroke="#1668b0" stroke-width="2"/>',
        *(dot(each, 4, 'fill="#1668b0"', "front: ") for each in front),
    ]
    if uniform is not None:
        parts.append(dot(uniform, 6, 'fill="none" stroke="#c0392b" stroke-width="2"', "uniform: "))
    parts.append(dot(chosen, 7, 'fill="none" stroke="#157a3c" stroke-width="3"', "chosen: "))
    labels = [
        (MARGIN, HEIGHT - MARGIN + 16, "start", f"{low_x:,.4g}"),
        (WIDTH - MARGIN / 2, HEIGHT - MARGIN + 16, "end", f"{high_x:,.4g}"),
        (WIDTH / 2, HEIGHT - 12, "middle", unit),
        (MARGIN - 6, HEIGHT - MARGIN, "end", f"{metric_value(metric, low_y):.2f}"),
        (MARGIN - 6, MARGIN / 2 + 8, "end", f"{metric_value(metric, high_y):.2f}"),
        (
            MARGIN,
            16,
            "start",
            f"{metric_name(metric)}: blue the front, green chosen, red uniform scaling",
        ),
    ]
    parts += [
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'
        for x, y, anchor, text in labels
    ]
    return "\n".join([*parts, "</svg>\n"])
