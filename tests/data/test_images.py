"""Pictures of odd modes and sizes, crops, splits, drawings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgegan.data.images import (
    Crop,
    center_crop,
    list_images,
    plan_crops,
    read_image,
    split_files,
    take_crop,
    to_float,
    to_pixels,
)
from edgegan.data.procedural import draw_pair
from edgegan.errors import InputError


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]
)
def test_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    if mode == "I;16":
        Image.fromarray(np.full((4, 6), 32768, np.uint16)).save(path)
    else:
        Image.new("L", (6, 4), 128).convert(mode).save(path)
    pixels = read_image(path)
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    if mode != "1":
        assert abs(int(pixels[0, 0, 0]) - 128) <= 1


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").min() == 255


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (8, 4, 3)


def test_damaged_image_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.png is damaged"):
        read_image(tmp_path / "a.png")


def test_float_round_trip() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(to_pixels(to_float(pixels)), pixels)
    assert to_float(pixels).min() == -1
    assert to_float(pixels).max() == 1


def test_crops_use_every_file_before_repeating() -> None:
    crops = plan_crops(5, 12, seed=1)
    assert sorted(crop.index for crop in crops[:5]) == list(range(5))
    assert plan_crops(5, 12, seed=1) == crops
    assert plan_crops(5, 12, seed=2) != crops


def test_small_pictures_are_scaled_up_to_the_crop() -> None:
    assert take_crop(np.zeros((10, 20, 3), np.uint8), Crop(0, 0.3, 0.9), (32, 32), None).shape == (
        32,
        32,
        3,
    )
    assert center_crop(np.zeros((100, 50, 3), np.uint8), (32, 48), 64).shape == (32, 48, 3)


def test_split_is_seeded_and_disjoint(pictures: Path) -> None:
    files = list_images(pictures)
    train, held = split_files(files, 3)
    assert len(held) == 1
    assert not set(train) & set(held)
    assert split_files(files, 3) == (train, held)


def test_drawings_are_reproducible_pairs() -> None:
    outline, shaded = draw_pair(48, 7)
    assert outline.shape == shaded.shape == (48, 48, 3)
    assert np.array_equal(outline, draw_pair(48, 7)[0])
    assert outline.mean() > shaded.mean()
