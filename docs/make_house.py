"""Draws docs/pictures/house.svg: what flows through edgegan, its rooms, and who may import whom."""

from __future__ import annotations

from html import escape
from pathlib import Path

FILE = Path(__file__).with_name("pictures") / "house.svg"
WIDTH, MARGIN, GAP = 960, 20, 10
ROW_HEIGHT, LABEL = 52, 150
FLOW = [
    ("import", "a package"),
    ("compress", "a run, its student"),
    ("export", "artefacts, model.json"),
    ("bench", "records"),
    ("report", "report.html"),
    ("bundle", "app, web page"),
]
# From the top of the house to its cellar: a room imports from rooms below it, never from one above.
ROWS = [
    ("the door", [("cli", "one line a command"), ("commands", "options in, results out")]),
    ("the whole job", [("quickstart", "every step, on embedded drawings")]),
    (
        "judging",
        [
            ("compare", "methods at one budget"),
            ("evaluation", "pictures against pictures"),
            ("doctor", "what is installed"),
        ],
    ),
    ("to a student", [("compress", "every stage of every method in pipeline.py")]),
    ("to a device", [("export", "student to artefacts"), ("benchmarks", "artefacts measured")]),
    ("learning", [("training", "loop, losses, judge, teachers")]),
    ("networks", [("models", "a folder a family")]),
    ("widths", [("channels", "which channels are tied; it knows no family")]),
    ("pictures", [("data", "crops, pairs, label maps"), ("metrics", "MACs, PSNR, FID, mIoU")]),
    (
        "contracts",
        [
            ("package", "a generator"),
            ("artefact", "model.json"),
            ("run", "the ledger"),
            ("tensors", "in and out"),
            ("weights", "safe reading"),
            ("runtime", "a process each"),
        ],
    ),
    (
        "cellar",
        [
            ("recipe", "every key, every cost"),
            ("deployment", "what runs how"),
            ("files", "atomic, hashed"),
            ("ownership", "whose files"),
            ("contracts", "what files may hold"),
            ("console", "what is said"),
            ("errors", "exit codes"),
        ],
    ),
]


def house() -> str:
    """The picture as SVG."""
    parts = flow(MARGIN + 6)
    top = 132
    for index, (label, rooms) in enumerate(ROWS):
        parts += row(label, rooms, top + index * ROW_HEIGHT, index % 2 == 1)
    bottom = top + len(ROWS) * ROW_HEIGHT
    note = "Upper rooms import from lower ones only; export and benchmarks import nothing of each other;"
    more = "runtime's worker imports nothing of the project; the Android app and the web page read model.json alone."
    parts += [
        text(MARGIN, bottom + 24, note, 12.5, "#444"),
        text(MARGIN, bottom + 42, more, 12.5, "#444"),
    ]
    height = bottom + 58
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fdfdfb"/>',
            *parts,
            "</svg>\n",
        ]
    )


def flow(top: int) -> list[str]:
    """The commands in order, each with what it leaves for the next."""
    parts = [text(MARGIN, top + 14, "teacher checkpoint + pictures", 13, "#444")]
    width = (WIDTH - 2 * MARGIN - 5 * 22) / len(FLOW)
    for index, (name, leaves) in enumerate(FLOW):
        left = MARGIN + index * (width + 22)
        parts.append(box(left, top + 28, width, 34, "#24506e"))
        parts.append(text(left + width / 2, top + 50, name, 15, "#fff", "middle", bold=True))
        parts.append(text(left + width / 2, top + 80, leaves, 12.5, "#444", "middle"))
        if index:
            parts.append(text(left - 11, top + 51, "\u2192", 18, "#24506e", "middle"))
    return parts


def row(label: str, rooms: list[tuple[str, str]], top: int, shaded: bool) -> list[str]:
    """A storey: its label, its rooms side by side."""
    parts = [
        box(MARGIN, top, WIDTH - 2 * MARGIN, ROW_HEIGHT - 6, "#eef2ee" if shaded else "#f6f6f0")
    ]
    parts.append(text(MARGIN + 12, top + 27, label, 13, "#444"))
    free = WIDTH - 2 * MARGIN - LABEL + 30
    width = (free - GAP * len(rooms)) / len(rooms)
    for index, (name, what) in enumerate(rooms):
        left = MARGIN + LABEL - 30 + index * (width + GAP)
        parts.append(box(left, top + 5, width, ROW_HEIGHT - 16, "#fff", "#9db4a4"))
        parts.append(text(left + width / 2, top + 21, name, 14, "#111", "middle", bold=True))
        parts.append(text(left + width / 2, top + 35, what, 12, "#444", "middle"))
    return parts


def box(left: float, top: float, width: float, height: float, fill: str, line: str = "none") -> str:
    """A rounded rectangle."""
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
        f'fill="{fill}" stroke="{line}"/>'
    )


def text(
    left: float,
    base: float,
    words: str,
    size: float,
    fill: str,
    anchor: str = "start",
    *,
    bold: bool = False,
) -> str:
    """A line of words."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{left:.1f}" y="{base:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{weight}>'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    FILE.write_text(house(), encoding="utf-8")
