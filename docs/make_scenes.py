"""Draws docs/pictures/scenes.png from a finished quickstart: drawings, teacher, student in int8, by `edgegan run`.

python docs/make_scenes.py runs/quickstart
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FILE = Path(__file__).with_name("pictures") / "scenes.png"
SCENES, SIDE, GAP, LABEL = 4, 144, 6, 84


def draw_scenes(quickstart: Path, file: Path) -> None:
    """The first validation drawings as columns; a row each for drawing, teacher and student."""
    drawings = sorted((quickstart / "data/validation").iterdir())[:SCENES]
    with tempfile.TemporaryDirectory() as folder:
        rows = {"drawing": drawings}
        for label, source in (
            ("teacher\nfp32", quickstart / "training/teacher"),
            ("student\nint8", quickstart / "run/export/student_int8.tflite"),
        ):
            output = Path(folder) / label.split()[0]
            command = [sys.executable, "-m", "edgegan", "run", source, *drawings, "-o", output]
            subprocess.run([str(word) for word in command], check=True)
            rows[label] = sorted(output.iterdir())
        sheet = Image.new("RGB", (LABEL + SCENES * (SIDE + GAP), len(rows) * (SIDE + GAP)), "white")
        pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
        for row, (label, files) in enumerate(rows.items()):
            top = row * (SIDE + GAP)
            pen.text((4, top + SIDE // 2 - 16), label, fill="#333", font=font)
            for column, path in enumerate(files):
                picture = (
                    Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                )
                sheet.paste(picture, (LABEL + column * (SIDE + GAP), top))
    sheet.quantize(128, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)


if __name__ == "__main__":
    draw_scenes(Path(sys.argv[1]), FILE)
