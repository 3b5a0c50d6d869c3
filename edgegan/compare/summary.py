"""The comparison on paper: one JSON, one markdown table, one SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from edgegan.compare.arms import ARMS, QUOTED
from edgegan.compare.comparison import Entry, summary
from edgegan.compare.verdict import reference_of, verdicts
from edgegan.console import format_cost
from edgegan.files import write_atomic, write_json
from edgegan.recipe.schema import Recipe
from edgegan.run import command_line, environment, now
from edgegan.streams import printable

SCHEMA_VERSION = 1
ROW_HEIGHT, LEFT, WIDTH, TOP = 34, 390, 430, 52
COLUMNS = {
    "predicted_bytes": ("int8 bytes", 1e6, "{:.3f} MB"),
    "macs": ("MACs", 1e9, "{:.2f} G"),
    "psnr_db": ("PSNR fp32", 1.0, "{:.2f} dB"),
    "int8_psnr_db": ("PSNR int8", 1.0, "{:.2f} dB"),
    "int8_ssim": ("SSIM int8", 1.0, "{:.3f}"),
    "file_bytes": ("file", 1e6, "{:.3f} MB"),
    "file_psnr_db": ("PSNR of the file", 1.0, "{:.2f} dB"),
    "duration_s": ("training", 60.0, "{:.1f} min"),
}


def write_comparison(folder: Path, recipe: Recipe, entries: Sequence[Entry]) -> None:
    """compare.json, compare.md and compare.svg in `folder`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "command": command_line(),
        "written": now(),
        "environment": environment(),
        "recipe": recipe.model_dump(mode="json"),
        "budget": recipe.budget.limits(),
        "entries": [asdict(entry) for entry in entries],
        "summary": summary(entries),
        "reference": reference_of(entries),
        "verdicts": {
            name: {**asdict(verdict), "shown": verdict.shown}
            for name, verdict in verdicts(entries).items()
        },
        "published": QUOTED,
    }
    write_json(folder / "compare.json", content)
    write_atomic(folder / "compare.md", markdown(recipe, entries).encode())
    write_atomic(folder / "compare.svg", plot(entries).encode())


def markdown(recipe: Recipe, entries: Sequence[Entry]) -> str:
    """A table of means over seeds, half the spread behind them where there are several, and each method's difference
    from the reference."""
    found, judged, reference = summary(entries), verdicts(entries), reference_of(entries)
    columns = [key for key in COLUMNS if any(key in row for row in found.values())]
    kind, budget = recipe.budget.aim or ("", 0.0)
    seeds = sorted({entry.seed for entry in entries})
    lines = [
        f"# {printable(recipe.name)} at {format_cost(budget)} {kind}",
        "",
        f"{recipe.distill.steps} steps, batch {recipe.distill.batch}; seeds {', '.join(map(str, seeds))}. "
        "PSNR and SSIM are to the teacher on the validation pictures; int8 is simulated as LiteRT computes it. The "
        f"last column is the difference in PSNR of int8 from {reference}, seed by seed, with a 95 % interval.",
        "",
        "| method | "
        + " | ".join(COLUMNS[key][0] for key in columns)
        + f" | against {reference} |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for name, row in found.items():
        cells = [*(cell(row, key) for key in columns), str(judged.get(name, ""))]
        lines.append(f"| {ARMS[name].title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", QUOTED]) + "\n"


def cell(row: Mapping[str, Mapping[str, float]], key: str) -> str:
    """One figure with half its spread."""
    if key not in row:
        return ""
    _, unit, form = COLUMNS[key]
    values = row[key]
    spread = (values["greatest"] - values["least"]) / 2 / unit
    text = form.format(values["mean"] / unit)
    return text if spread == 0 else f"{text} ± {spread:.2g}"


def plot(entries: Sequence[Entry]) -> str:
    """PSNR to the teacher by method: a ring for fp32, a dot for int8, one of each a seed."""
    names = list(dict.fromkeys(entry.method for entry in entries))
    values = [value for entry in entries for value in (entry.psnr_db, entry.int8_psnr_db)]
    low, high = min(values), max(values)
    margin = max(0.25, 0.08 * (high - low))
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * WIDTH

    height = TOP + ROW_HEIGHT * len(names) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 40} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22">PSNR to the teacher, dB</text>',
        f'<circle cx="{LEFT + 190}" cy="18" r="5" fill="none" stroke="#1f5a99" stroke-width="2"/>'
        f'<text x="{LEFT + 202}" y="22">fp32</text>'
        f'<circle cx="{LEFT + 252}" cy="18" r="5" fill="#c2410c"/><text x="{LEFT + 264}" y="22">int8</text>',
    ]
    for tick in range(5):
        value = low + (high - low) * tick / 4
        parts.append(
            f'<line x1="{x(value):.1f}" y1="{TOP - 12}" x2="{x(value):.1f}" y2="{height - 36}" stroke="#ddd"/>'
            f'<text x="{x(value):.1f}" y="{height - 16}" text-anchor="middle" fill="#555">{value:.1f}</text>'
        )
    for row, name in enumerate(names):
        y = TOP + row * ROW_HEIGHT + 8
        parts.append(f'<text x="12" y="{y + 4}">{escape(ARMS[name].title)}</text>')
        for entry in entries:
            if entry.method != name:
                continue
            parts.append(
                f'<circle cx="{x(entry.psnr_db):.1f}" cy="{y}" r="5" fill="none" stroke="#1f5a99" stroke-width="2">'
                f"<title>seed {entry.seed}: fp32 {entry.psnr_db:.2f} dB</title></circle>"
                f'<circle cx="{x(entry.int8_psnr_db):.1f}" cy="{y}" r="4" fill="#c2410c" fill-opacity="0.8">'
                f"<title>seed {entry.seed}: int8 {entry.int8_psnr_db:.2f} dB</title></circle>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"
