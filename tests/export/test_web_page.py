"""The web page in real headless Chromium: picture, slider, self-test, errors, camera, and no network."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import edgegan
from support.webdriver import Browser, serve

from edgegan.data.images import resize_image, to_float, to_pixels
from edgegan.runtime.apply import apply_generator, open_generator

MODEL = "resnet_int8"
SETTLED = "['ready', 'problem'].includes(document.documentElement.dataset.state)"
ON_PIXELS = """
const {resize} = await import('./pixels.js');
const blob = new Blob([Uint8Array.from(atob(args[0]), (letter) => letter.charCodeAt(0))], {type: 'image/png'});
const bitmap = await createImageBitmap(blob, {colorSpaceConversion: 'none'});
const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
const context = canvas.getContext('2d');
context.drawImage(bitmap, 0, 0);
const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
const text = (data) => { let s = ''; for (const v of data) s += String.fromCharCode(v); return btoa(s); };
"""


@pytest.fixture(scope="module")
def page(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundled page; skipped when npm cannot fetch LiteRT.js."""
    folder = tmp_path_factory.mktemp("web") / "page"
    arguments = ["bundle", finished_run, "--target", "web", "--download", "-o", folder, "--teacher"]
    done = edgegan(*arguments, "--precision", "int8", "--precision", "fp32", check=False)
    if done.returncode == 4:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder


def pixels_of(browser: Browser) -> np.ndarray:
    """What the canvas shows, (H, W, 3) uint8."""
    url = browser.run("return document.getElementById('picture').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def choose_file(browser: Browser, path: Path) -> None:
    """What a person does with the file button."""
    element = browser.call("/element", {"using": "css selector", "value": "#file"})
    browser.run("document.documentElement.dataset.state = 'busy'")
    browser.call(f"/element/{next(iter(element.values()))}/value", {"text": str(path)})
    browser.wait(SETTLED)


def test_page_works_and_then_without_a_network(
    page: Path, browser: Browser, tmp_path: Path
) -> None:
    with serve(page) as (url, sent):
        browser.open(f"{url}/")
        browser.wait(SETTLED)
        assert browser.run("return document.getElementById('problem').textContent") == ""
        browser.run("document.getElementById('test').click()")
        browser.wait("document.querySelectorAll('#results tr').length === 3")
        rows = browser.run(
            "return [...document.querySelectorAll('#results tr')].map((r) => ({...r.dataset}))"
        )
        assert [row["passed"] for row in rows] == ["true"] * 3
        for row in rows:
            assert float(row["largest"]) <= (1e-5 if "fp32" in row["model"] else 1e-2), row
        beside_models = sum(n for p, n in sent.items() if "/models/" not in p)
        assert 8e6 < beside_models < 12e6
        browser.run("document.getElementById('divider').value = 1000;"
                    "document.getElementById('divider').dispatchEvent(new Event('input'))")  # fmt: skip
        before = pixels_of(browser)
        browser.run("document.getElementById('divider').value = 0;"
                    "document.getElementById('divider').dispatchEvent(new Event('input'))")  # fmt: skip
        assert np.abs(before.astype(int) - pixels_of(browser)).mean() > 1
        other = {"model": "resnet_fp32", "other": "resnet_teacher_fp32", "fit": "cropped"}
        for name, value in other.items():
            browser.run(
                "const e = document.getElementById(args[0]); e.value = args[1];"
                "document.documentElement.dataset.state = 'busy'; e.dispatchEvent(new Event('change'))",
                name,
                value,
            )
            browser.wait(SETTLED)
        figures = browser.run("return document.getElementById('figures').innerText")
        assert "PSNR between them" in figures and "resnet teacher fp32" in figures
        browser.run("document.getElementById('camera').click()")
        browser.wait("document.getElementById('flip').hidden === false")
        browser.run("document.documentElement.dataset.state = 'busy'")
        browser.wait(SETTLED)
        browser.run("document.getElementById('camera').click()")
        empty = tmp_path / "empty.jpg"
        empty.write_bytes(b"")
        choose_file(browser, empty)
        assert "is empty, damaged or not a picture" in browser.run(
            "return document.getElementById('problem').textContent"
        )
        assert browser.run("return caches.keys()")[0].startswith(f"edgegan {url}/ ")
        outside = (
            "try { await fetch('http://127.0.0.2/'); return '' } catch (e) { return String(e) }"
        )
        assert "Failed to fetch" in browser.run(outside)
        refused = "document.addEventListener('securitypolicyviolation', (e) => document.title = e.violatedDirective);"
        browser.run(
            refused
            + "const s = document.createElement('script'); s.textContent = '1'; document.body.append(s)"
        )
        browser.wait("document.title.startsWith('script-src')")
    browser.open("about:blank")
    browser.open(f"{url}/")
    browser.wait(SETTLED)
    assert browser.run("return document.getElementById('problem').textContent") == ""
    assert "ms in all" in browser.run("return document.getElementById('status').textContent")


def test_pixels_are_those_of_edgegan_run(page: Path, browser: Browser, tmp_path: Path) -> None:
    """Scaling bit for bit; a tiled picture within one level."""
    chance = np.random.default_rng(3)
    with serve(page) as (url, _):
        browser.open(f"{url}/")
        browser.wait(SETTLED)
        for height, width, to_height, to_width in [
            (7, 5, 32, 32),
            (65, 33, 32, 32),
            (40, 90, 13, 171),
        ]:
            pixels = chance.integers(0, 256, (height, width, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            text = browser.run(
                ON_PIXELS + "return text(resize(image, args[1], args[2]).data)",
                base64.b64encode(buffer.getvalue()).decode(),
                to_width,
                to_height,
            )
            made = np.frombuffer(base64.b64decode(text), np.uint8).reshape(to_height, to_width, 4)
            wanted = resize_image(pixels, to_height, to_width, bilinear=True)
            np.testing.assert_array_equal(made[..., :3], wanted)
        picture = tmp_path / "odd.png"
        pixels = resize_image(chance.integers(0, 256, (5, 6, 3), dtype=np.uint8), 45, 71)
        Image.fromarray(pixels).save(picture)
        browser.run("document.getElementById('model').value = 'resnet_fp32'")
        choose_file(browser, picture)
        browser.run("document.getElementById('divider').value = 0;"
                    "document.getElementById('divider').dispatchEvent(new Event('input'))")  # fmt: skip
        made = pixels_of(browser)
    bundled = page / "models/resnet_fp32/model.tflite"
    bundled.with_name("model.tflite.model.json").write_text(manifest_of(bundled))
    with open_generator(bundled, 1) as generator:
        wanted = to_pixels(apply_generator(generator, to_float(pixels), "tile"))
    bundled.with_name("model.tflite.model.json").unlink()
    assert np.abs(made.astype(int) - wanted).max() <= 1


def manifest_of(bundled: Path) -> str:
    """The bundled model.json as an artefact's."""
    values = json.loads((bundled.parent / "model.json").read_text())
    del values["golden"]
    return json.dumps(values)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model.tflite", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "is damaged"),
        ("model.tflite", lambda b: b[:100], "has 100 bytes, model.json says"),
        ("model.json", lambda b: b[:200], "not readable JSON"),
        ("golden/output.f32", lambda b: bytes([b[0] ^ 1]) + b[1:], "is damaged"),
    ],
)
def test_damage_is_one_message(
    page: Path, browser: Browser, file: str, change: object, message: str
) -> None:
    path = page / "models" / MODEL / file
    kept = path.read_bytes()
    path.write_bytes(change(kept))  # type: ignore[operator]
    try:
        with serve(page) as (url, _):
            browser.open(f"{url}/")
            browser.wait(SETTLED)
            browser.run(
                "const m = document.getElementById('model'); m.value = args[0];"
                "document.getElementById('test').click();",
                MODEL,
            )
            browser.wait("!document.getElementById('test').disabled")
            assert message in browser.run("return document.body.innerText")
            if file != "model.json":
                failed = browser.run("return document.querySelectorAll('.fail').length")
                assert failed == 1
    finally:
        path.write_bytes(kept)
