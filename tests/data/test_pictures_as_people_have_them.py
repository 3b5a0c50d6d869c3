"""Suffixes, hidden files, animations, HEIC, wide greys, and folders that public test scripts write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgegan.data import images
from edgegan.data.datasets import match, open_split
from edgegan.data.images import list_images, read_image
from edgegan.data.pictures import readable
from edgegan.data.results import made_alone, made_and_true
from edgegan.errors import InputError
from edgegan.recipe.data_section import Data


def save(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, value, value)).save(path)
    return path


def test_what_systems_keep_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / ".hidden" / "photos"  # the folder that was named may be hidden itself
    for name in ("a.png", "b.JFIF", "c.jpe", "d.gif", "e.webp"):
        suffix = {"b.JFIF": "JPEG", "c.jpe": "JPEG"}.get(name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name, suffix)
    for name in ("._a.png", ".thumbs/a.png", "__MACOSX/a.png", ".a.png"):
        save(folder / name)
    assert [path.name for path in list_images(folder)] == [
        "a.png",
        "b.JFIF",
        "c.jpe",
        "d.gif",
        "e.webp",
    ]
    for path in list_images(folder):
        assert read_image(path).shape == (6, 8, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_of_several_pictures_the_first_is_taken_and_said(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (Image.new("RGB", (8, 6), colour) for colour in ("white", "black"))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second])
    for _ in range(2):
        assert read_image(tmp_path / f"a{suffix}").min() == 255
    assert capsys.readouterr().err.count("holds several pictures: the first is taken") == 1


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_without_its_package_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is in the file: phones and messengers rename them."""
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"HEIC picture.*pip install 'edgegan\[heic\]'"):
        read_image(tmp_path / name)


def test_heic(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.new("RGB", (16, 12), (200, 30, 30)).save(tmp_path / "a.heic", quality=95)
    assert np.abs(read_image(tmp_path / "a.heic").astype(int) - (200, 30, 30)).max() < 8


@pytest.mark.parametrize("suffix", [".png", ".pgm", ".tif"])
def test_a_series_of_16_bits_has_one_scale(suffix: str, tmp_path: Path) -> None:
    """A dark picture stays dark beside a bright one."""
    for name, value in (("dark", 200), ("bright", 51_400)):
        Image.fromarray(np.full((4, 6), value, np.uint16)).save(tmp_path / f"{name}{suffix}")
    assert read_image(tmp_path / f"dark{suffix}").max() == 1
    assert read_image(tmp_path / f"bright{suffix}").max() == 200


def test_those_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = save(tmp_path / "a.png")
    bad = tmp_path / "b.png"
    bad.write_bytes(b"x")
    assert readable([good, bad], skip_bad=False) == [good, bad]
    assert readable([good, bad], skip_bad=True) == [good]
    assert "left out: " in capsys.readouterr().err
    with pytest.raises(InputError, match="none of 1 files can be read"):
        readable([bad], skip_bad=True)


PIX2PIX = ("real_A", "fake_B", "real_B")
CYCLEGAN = (*PIX2PIX, "fake_A", "rec_A", "rec_B")


def results(folder: Path, kinds: tuple[str, ...]) -> list[Path]:
    """What the public test script writes of two pictures."""
    for name in ("a", "b"):
        for kind in kinds:
            save(folder / f"{name}_{kind}.png")
    return list_images(folder)


@pytest.mark.parametrize(("kinds", "target"), [(PIX2PIX, "real_B"), (CYCLEGAN, "fake_B")])
def test_a_folder_of_results_is_pairs(kinds: tuple[str, ...], target: str, tmp_path: Path) -> None:
    """True targets, but for CycleGAN, whose domains have no partners."""
    results(tmp_path, kinds)
    for direction, order in (("AtoB", ("real_A", target)), ("BtoA", (target, "real_A"))):
        data = Data(kind="paired", direction=direction)
        split = open_split(data, tmp_path, None, None)
        names = [Path(part.name(0)).stem for part in (split.inputs, split.targets) if part]
        assert names == [f"a_{each}" for each in order] and len(split) == 2


def test_results_beside_other_folders(tmp_path: Path) -> None:
    files = results(tmp_path / "results", PIX2PIX)
    photos = [save(tmp_path / "photos" / f"{name}.png") for name in ("a", "b")]
    _, found = match(photos, tmp_path / "photos", files, tmp_path / "results")
    assert [path.stem for path in found] == ["a_fake_B", "b_fake_B"]
    assert [path.stem for path in made_alone(files, tmp_path)] == ["a_fake_B", "b_fake_B"]
    made, true = made_and_true(files, tmp_path)
    assert [path.stem for path in (made[0], true[0])] == ["a_fake_B", "a_real_B"]
    assert made_alone(photos, tmp_path) == photos
    assert made_and_true(photos, tmp_path) == (photos, photos)


def test_listed_formats_are_read() -> None:
    Image.init()
    assert set(images.FORMATS) <= set(Image.OPEN)
