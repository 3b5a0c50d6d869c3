"""`edgegan run`: packages and artefacts on pictures of any size."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.commands import edgegan, make_pictures

from edgegan.data.images import read_image, to_float, to_pixels
from edgegan.errors import InputError, OutputError
from edgegan.metrics.quality import psnr
from edgegan.runtime import apply
from edgegan.runtime.apply import (
    Generator,
    apply_generator,
    collect_inputs,
    first_double,
    open_generator,
    ramp,
    refuse_existing,
    starts,
    tiled,
)


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


@pytest.mark.parametrize("count", [200, 800])
def test_many_pictures_are_looked_at_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Comparisons and questions to the file system before the first picture: a fixed number for each."""
    source = make_pictures(tmp_path / "one", 1) / "picture0.png"
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(count):
        os.link(source, folder / f"{number:04d}.png")
    calls: Counter[str] = Counter()

    def counted(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object) -> object:
            calls[name] += 1
            return real(*arguments)

        monkeypatch.setattr(owner, name, call)

    for name in ("stat", "__eq__"):
        counted(Path, name)
    pairs = collect_inputs([folder])
    targets = [tmp_path / "out" / name for _, name in pairs]
    assert first_double(targets) is None
    refuse_existing(targets, overwrite=False)
    assert calls["stat"] <= 2 * count + 10
    assert calls["__eq__"] <= 2 * count + 10
    assert first_double([*targets, targets[7], targets[3]]) == targets[3]


def test_what_exists_is_found_in_its_folder(tmp_path: Path) -> None:
    targets = [tmp_path / "a" / "1.png", tmp_path / "b" / "2.png"]
    refuse_existing(targets, overwrite=False)
    targets[1].parent.mkdir()
    targets[1].touch()
    with pytest.raises(OutputError, match=r"2\.png exists"):
        refuse_existing(targets, overwrite=False)
    refuse_existing(targets, overwrite=True)


def test_damaged_pictures_are_left_out_and_named(finished_run: Path, tmp_path: Path) -> None:
    make_pictures(tmp_path / "in", 2, (32, 32))
    (tmp_path / "in" / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "in" / "._picture0.png").write_bytes(b"\0\5\x16\7")  # as copied from a Mac
    arguments = ["run", finished_run, tmp_path / "in", "-o", tmp_path / "out"]
    done = edgegan(*arguments, check=False)
    assert done.returncode == 3
    assert "damaged.jpg is damaged" in done.stderr
    assert "1 of 3 pictures cannot be read (" in done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    done = edgegan(*arguments, "--skip-bad", "--overwrite")
    assert "left out: " in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "picture0.png",
        "picture1.png",
    ]


def test_channels_that_pictures_lack_are_named() -> None:
    with pytest.raises(InputError, match="takes 4 channels, and pictures give 3"):
        to_float(np.zeros((4, 4, 3), np.uint8), 4)


def mean_added(x: np.ndarray) -> np.ndarray:
    """A generator whose every pixel depends on the whole picture."""
    return np.asarray(np.clip(x + x.mean((1, 2), keepdims=True), -1, 1), np.float32)


def half_dark(height: int, width: int) -> np.ndarray:
    x = image(height, width) * 0.1 - 0.4
    x[:, :, : width // 2] += 0.6
    return x


@pytest.mark.parametrize(
    ("bytes_each", "size", "whole"),
    [(1.0, None, True), (1e12, None, False), (1.0, (32, 32), False)],
    ids=["memory allows", "too large for memory", "an artefact of one size"],
)
def test_a_large_picture_goes_whole_or_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
    bytes_each: float,
    size: tuple[int, int] | None,
    whole: bool,
) -> None:
    monkeypatch.setattr(apply, "WHOLE_PIXELS", 1_000)
    monkeypatch.setattr(apply, "PACKAGE_TILE", (32, 32))
    x = half_dark(48, 80)
    for sees in (True, False):
        generator = Generator(
            mean_added, 3, size, sees_whole=partial(bool, sees), whole_bytes=lambda: bytes_each
        )
        for made in (
            apply_generator(generator, x, "tile"),
            to_float(apply.apply_to_pixels(generator, to_pixels(x), "tile"), 3),
        ):
            same = np.abs(made - mean_added(x)).max() < 0.02
            assert same == (whole and sees)
        assert bool(generator.notes) == (sees and not whole)


def test_a_picture_that_padding_widens_most_is_tiled_still() -> None:
    generator = Generator(
        mean_added, 3, None, min_size=64, sees_whole=lambda: True, whole_bytes=lambda: 0.0
    )
    assert apply.is_tiled(generator, 1, 100_000) and not apply.is_tiled(generator, 2_000, 2_000)


def test_the_package_tells_what_its_norms_see(finished_run: Path) -> None:
    with open_generator(finished_run, 1) as package:
        assert package.sees_whole() and 0 < package.whole_bytes() < 1e5
    for name in ("student_fp32.tflite", "student_fp32.onnx"):
        with open_generator(finished_run / "export" / name, 1) as artefact:
            assert artefact.sees_whole()
