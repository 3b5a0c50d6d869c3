"""`edgegan run`: packages and artefacts on pictures of any size."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.commands import edgegan, make_pictures

from edgegan.data.images import read_image, to_float, to_pixels
from edgegan.metrics.quality import psnr
from edgegan.runtime.apply import Generator, apply_generator, open_generator, ramp, starts, tiled


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, height, width)).astype(np.float32)


@pytest.mark.parametrize("length", [5, 32, 33, 100, 481])
def test_tiles_cover_and_overlap(length: int) -> None:
    begins = starts(length, 32)
    covered = np.zeros(max(length, 32))
    for begin in begins:
        covered[begin : begin + 32] += 1
    assert covered.all()
    assert all(b - a <= 24 for a, b in pairwise(begins))
    assert ramp(32).min() > 0


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (32, 32), (65, 47)])
def test_tiling_the_identity_gives_the_picture(size: tuple[int, int]) -> None:
    x = image(*size)
    assert np.allclose(tiled(lambda tile: tile, x, (32, 32)), x, atol=1e-6)


def test_stride_padding_is_cut_off_again() -> None:
    generator = Generator(lambda x: x, 3, None, stride=4, min_size=16)
    for size in ((1, 1), (17, 30)):
        assert np.array_equal(apply_generator(generator, image(*size), "tile"), image(*size))


def test_artefact_equals_package_at_its_size(finished_run: Path) -> None:
    x = image(32, 32)
    with open_generator(finished_run, 1) as package:
        expected = apply_generator(package, x, "tile")
    for name in ("student_fp32.tflite", "student_fp32.onnx"):
        with open_generator(finished_run / "export" / name, 1) as artefact:
            assert np.abs(apply_generator(artefact, x, "tile") - expected).max() < 1e-4
    with open_generator(finished_run / "export" / "student_int8.tflite", 1) as artefact:
        assert psnr(apply_generator(artefact, x, "tile"), expected) > 25


@pytest.mark.parametrize("fit", ["tile", "resize"])
def test_command_keeps_sizes(finished_run: Path, tmp_path: Path, fit: str) -> None:
    folder = make_pictures(tmp_path / "in", 2, (50, 37))
    artefact = finished_run / "export" / "student_int8.tflite"
    edgegan("run", artefact, folder, "-o", tmp_path / "out", "--fit", fit)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "picture0.png",
        "picture1.png",
    ]
    assert read_image(tmp_path / "out" / "picture0.png").shape == (50, 37, 3)


def test_pixels_are_rounded_once() -> None:
    pixels = to_pixels(image(6, 5))
    assert np.array_equal(to_pixels(to_float(pixels)), pixels)
