"""Models that make pictures of another size, on the web page in real Chromium: as large as `edgegan run` makes them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import SIZE, edgegan
from support.resizing import RATIOS
from support.webdriver import Browser, serve

from edgegan.data.images import read_image, resize_image

SETTLED = "['ready', 'problem'].includes(document.documentElement.dataset.state)"
SHAPES = [(SIZE, SIZE), (45, 71), (20, 50)]
REFUSED = """
const {sizeOf} = await import('./tiles.js');
try { return sizeOf({ratio: args[0]}, {width: 4001, height: 1000}); } catch (error) { return error.message; }
"""
READ_CARD = """
const {readCard} = await import('./card.js'), real = window.fetch;
window.fetch = async () => new Response(args[0]);
try { await readCard('double_int8'); return ''; } catch (error) { return error.message; }
finally { window.fetch = real; }
"""


@pytest.fixture(scope="module")
def page(resizing_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with both runs; skipped when npm cannot fetch LiteRT.js."""
    folder = tmp_path_factory.mktemp("web") / "page"
    for name in RATIOS:
        arguments = ["bundle", resizing_runs / name, "--target", "web", "--download", "-o", folder]
        done = edgegan(*arguments, "--precision", "fp32", "--precision", "int8", check=False)
        if done.returncode == 4:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
    return folder


def picture_of(browser: Browser, divider: int) -> np.ndarray:
    """What the canvas shows with the divider there, (H, W, 3) uint8."""
    browser.run(
        "const d = document.getElementById('divider'); d.value = args[0]; d.dispatchEvent(new Event('input'))",
        divider,
    )
    url = browser.run("return document.getElementById('picture').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def change(browser: Browser, **values: str) -> None:
    """Chooses in the page's lists, by id."""
    for name, value in values.items():
        browser.run(
            "const e = document.getElementById(args[0]); e.value = args[1];"
            "document.documentElement.dataset.state = 'busy'; e.dispatchEvent(new Event('change'))",
            name,
            value,
        )
        browser.wait(SETTLED)
    assert browser.run("return document.getElementById('problem').textContent") == ""


def choose_file(browser: Browser, path: Path) -> None:
    """What a person does with the file button."""
    element = browser.call("/element", {"using": "css selector", "value": "#file"})
    browser.run("document.documentElement.dataset.state = 'busy'")
    browser.call(f"/element/{next(iter(element.values()))}/value", {"text": str(path)})
    browser.wait(SETTLED)


def saved_size(browser: Browser) -> list[int]:
    """Width and height of the picture that is downloaded."""
    browser.run(
        "const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { window.saved = blob; URL.createObjectURL = make; return make(blob); };"
        "window.saved = undefined; document.getElementById('save').click()"
    )
    browser.wait("window.saved !== undefined")
    found: list[int] = browser.run(
        "const made = await createImageBitmap(window.saved); return [made.width, made.height]"
    )
    return found


def test_pictures_are_those_of_edgegan_run(
    page: Path, browser: Browser, resizing_runs: Path, tmp_path: Path
) -> None:
    """In tiles and whole, of both kinds: within one level; the input beside them at their size."""
    chance = np.random.default_rng(5)
    for height, width in SHAPES:
        pixels = resize_image(
            chance.integers(0, 256, (5, 6, 3), dtype=np.uint8), height, width, bilinear=True
        )
        Image.fromarray(pixels).save(tmp_path / f"{height}x{width}.png")
    files = [tmp_path / f"{height}x{width}.png" for height, width in SHAPES]
    with serve(page) as (url, _):
        browser.open(f"{url}/")
        browser.wait(SETTLED)
        for name in RATIOS:
            artefact = resizing_runs / name / "export/student_fp32.tflite"
            for fit, word in (("tiled", "tile"), ("resized", "resize")):
                wanted_in = tmp_path / f"{name}_{fit}"
                edgegan("run", artefact, *files, "-o", wanted_in, "--fit", word)
                change(browser, model=f"{name}_fp32", fit=fit)
                for file in files:
                    choose_file(browser, file)
                    made = picture_of(browser, 0)
                    wanted = read_image(wanted_in / file.name)
                    assert made.shape == wanted.shape
                    assert np.abs(made.astype(int) - wanted).max() <= 1, (name, fit, file.name)
                    height, width = wanted.shape[:2]
                    before = resize_image(read_image(file), height, width, bilinear=True)
                    shown = picture_of(browser, 1000)
                    assert np.abs(shown.astype(int) - before).mean() < 2, (name, fit, file.name)
                    assert saved_size(browser) == [width, height]


def test_middle_camera_comparison_and_self_test(page: Path, browser: Browser) -> None:
    with serve(page) as (url, _):
        browser.open(f"{url}/")
        browser.wait(SETTLED)
        browser.run("document.getElementById('test').click()")
        browser.wait("document.querySelectorAll('#results tr').length === 4")
        rows = browser.run(
            "return [...document.querySelectorAll('#results tr')].map((r) => r.dataset.passed)"
        )
        assert rows == ["true"] * 4
        for name, (up, down) in RATIOS.items():
            side = SIZE * up // down
            change(browser, model=f"{name}_int8", other="", fit="cropped")
            assert picture_of(browser, 0).shape == (side, side, 3)
            about = browser.run("return document.getElementById('about').textContent")
            assert f"{SIZE}x{SIZE} to {side}x{side}" in about
        change(browser, model="double_fp32", other="half_fp32", fit="tiled")
        assert "PSNR between them" in browser.run(
            "return document.getElementById('figures').innerText"
        )
        browser.run("document.getElementById('camera').click()")
        browser.wait("document.getElementById('flip').hidden === false")
        browser.run("document.documentElement.dataset.state = 'busy'")
        browser.wait("document.getElementById('picture').width === 64")
        browser.run("document.getElementById('camera').click()")
        assert browser.run("return document.getElementById('problem').textContent") == ""


def test_what_is_too_large_or_does_not_fit_is_refused(page: Path, browser: Browser) -> None:
    values = json.loads((page / "models/double_int8/model.json").read_text())
    with serve(page) as (url, _):
        browser.open(f"{url}/")
        browser.wait(SETTLED)
        assert browser.run(REFUSED, [2, 1]) == (
            "a picture of 4001x1000 becomes one of 8002x2000, more than 16,000,000 pixels; choose a smaller one"
        )
        assert browser.run(REFUSED, [1, 2]) == {"width": 2001, "height": 500}
        for enlarges, message in (
            ([3, 1], "outputs.0.shape is 64x64 of 32x32, but enlarges is 3/1"),
            ([2], "enlarges is not a fraction"),
            (None, "but enlarges is 1/1"),
            ([4, 2], ""),
        ):
            said = browser.run(READ_CARD, json.dumps({**values, "enlarges": enlarges}))
            assert message in said
            assert said.startswith("models/double_int8/model.json: ") is bool(message)
