"""Draws the app's layouts as wireframes (PNG): boxes and texts where LinearLayout puts them, not what a phone renders.

usage: python android_demo/ci/wireframes.py FOLDER
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

RESOURCES = Path(__file__).resolve().parent.parent / "app/src/main/res"
ANDROID = "{http://schemas.android.com/apk/res/android}"
WIDTH, HEIGHT, BAR = 360, 640, 48  # dp
LINE = 20
NATURAL = {"Button": 48, "Spinner": 48, "TextView": LINE + 4}
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
EXAMPLES = {"figures": "inference and total ms, MB, MACs\nof one model or two; PSNR\nsize, time in all, memory",
            "result": "results, one block a model", "model": "model", "other": "compare with"}  # fmt: skip
SCREENS = {"main": "edgegan", "benchmark": "Benchmark", "text": "Self-test"}


@dataclass(frozen=True)
class Box:
    """A rectangle in dp."""

    left: float
    top: float
    width: float
    height: float


def attribute(node: ET.Element, name: str, default: str = "") -> str:
    return node.get(ANDROID + name, default)


def dp(text: str) -> float:
    """ "8dp" as 8; 0 when absent."""
    return float(text.removesuffix("dp")) if text.endswith("dp") else 0.0


def strings() -> dict[str, str]:
    """Texts by name."""
    root = ET.parse(RESOURCES / "values/strings.xml").getroot()
    return {
        node.get("name", ""): (node.text or "").replace("\\'", "'") for node in root.iter("string")
    }


def label(node: ET.Element, texts: dict[str, str]) -> str:
    """What stands in a view: its text, or an example of what the app puts there."""
    text = attribute(node, "text")
    name = attribute(node, "id").rsplit("/", 1)[-1]
    return texts.get(text.rsplit("/", 1)[-1], "") if text else EXAMPLES.get(name, "")


def natural_height(node: ET.Element, width: float, texts: dict[str, str]) -> float:
    """Height of wrap_content at this width."""
    fixed = dp(attribute(node, "layout_height"))
    if fixed:
        return fixed
    padding = 2 * dp(attribute(node, "padding"))
    if node.tag == "LinearLayout":
        heights = [natural_height(child, width, texts) for child in node if shown(child)]
        total = sum(heights) if attribute(node, "orientation") == "vertical" else max(heights)
        return total + padding
    lines = [
        max(1, -(-len(line) * 7 // int(width - padding))) for line in label(node, texts).split("\n")
    ]
    wanted = max(sum(lines), int(attribute(node, "minLines", "1")))
    return max(
        NATURAL.get(node.tag, LINE), LINE * wanted + padding if node.tag == "TextView" else 0
    )


def shown(node: ET.Element) -> bool:
    return attribute(node, "visibility") != "gone"


def draw(canvas: ImageDraw.ImageDraw, node: ET.Element, box: Box, texts: dict[str, str]) -> None:
    """Draws a view and lays out its children."""
    inset = dp(attribute(node, "padding"))
    if node.tag == "LinearLayout":
        inner = Box(
            box.left + inset, box.top + inset, box.width - 2 * inset, box.height - 2 * inset
        )
        vertical = attribute(node, "orientation") == "vertical"
        children = [child for child in node if shown(child)]
        weights = [float(attribute(child, "layout_weight", "0")) for child in children]
        fixed = [
            0.0
            if weight
            else natural_height(child, inner.width, texts)
            if vertical
            else inner.width
            for child, weight in zip(children, weights, strict=True)
        ]
        spare = (inner.height if vertical else inner.width) - sum(fixed)
        place = inner.top if vertical else inner.left
        for child, weight, own in zip(children, weights, fixed, strict=True):
            length = own + (spare * weight / sum(weights) if weight else 0)
            area = (
                Box(inner.left, place, inner.width, length) if vertical
                else Box(place, inner.top, length, inner.height)
            )  # fmt: skip
            draw(canvas, child, area, texts)
            place += length
        return
    if node.tag == "ScrollView":
        draw(canvas, node[0], box, texts)
        return
    stage = node.tag.endswith("CompareView")
    edges = (box.left + 2, box.top + 2, box.left + box.width - 2, box.top + box.height - 2)
    outline = None if node.tag == "TextView" else "#888"
    canvas.rectangle(edges, fill="#222" if stage else "#eee" if outline else None, outline=outline)
    font = ImageFont.truetype(FONT, 12)
    if stage:
        middle = box.left + box.width / 2
        canvas.line((middle, edges[1], middle, edges[3]), fill="white", width=2)
        canvas.text((edges[0] + 8, edges[3] - 22), "before, or the second model", "white", font)
        canvas.text((edges[2] - 80, edges[3] - 40), "the model", "white", font)
        return
    words = wrapped(label(node, texts), int(box.width - 2 * inset), font)
    if node.tag == "TextView":
        canvas.multiline_text(
            (box.left + inset + 4, box.top + inset), words, "black", font, spacing=5
        )
    else:
        mark = f"{words} \N{BLACK DOWN-POINTING SMALL TRIANGLE}" if node.tag == "Spinner" else words
        canvas.text(
            (box.left + box.width / 2, box.top + box.height / 2), mark, "black", font, anchor="mm"
        )


def wrapped(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Breaks lines at spaces."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and font.getlength(f"{line} {word}") > width - 8:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return "\n".join(lines)


def screen(layout: str, title: str) -> Image.Image:
    """One layout below an action bar."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 0, WIDTH, BAR), fill="#ddd")
    canvas.text((16, BAR / 2), title, "black", ImageFont.truetype(FONT, 16), anchor="lm")
    if layout == "main":
        canvas.text(
            (WIDTH - 16, BAR / 2),
            "\N{VERTICAL ELLIPSIS}",
            "black",
            ImageFont.truetype(FONT, 18),
            anchor="rm",
        )
    root = ET.parse(RESOURCES / f"layout/{layout}.xml").getroot()
    draw(canvas, root, Box(0, BAR, WIDTH, HEIGHT - BAR), strings())
    return image


def main() -> None:
    """All screens side by side."""
    together = Image.new("RGB", ((WIDTH + 16) * len(SCREENS) - 16, HEIGHT), "#999")
    for index, (layout, title) in enumerate(SCREENS.items()):
        together.paste(screen(layout, title), (index * (WIDTH + 16), 0))
    together.quantize(16).save(Path(sys.argv[1]) / "app_wireframes.png", optimize=True)


if __name__ == "__main__":
    main()
