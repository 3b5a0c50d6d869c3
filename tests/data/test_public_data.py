"""Public data sets from archives and folders: what is written is what recipes read, or nothing is."""

from __future__ import annotations

import functools
import io
import os
import shlex
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgegan.data.collected import listed_files
from edgegan.data.datasets import open_dataset
from edgegan.data.downloading import download_archive
from edgegan.data.labels import read_labels
from edgegan.data.public_data import prepare
from edgegan.errors import ConfigError, EdgeGANError, InputError, OutputError
from edgegan.recipe.loading import load_recipe

CHANCE = np.random.default_rng(0)


def picture(width: int = 24, height: int = 16, mode: str = "RGB") -> bytes:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    buffer = io.BytesIO()
    Image.fromarray(CHANCE.integers(0, 30, shape).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, picture())
    return path


def tarred(path: Path, *names: str, link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            data = picture()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link is not None:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


HORSES = [f"h2z/{part}/{i}.png" for part in ("trainA", "trainB", "testA", "testB") for i in "12"]
MAPS = [f"maps/{part}/{i}.png" for part in ("train", "val") for i in "123"]


def examples(command: str) -> tuple[int, int]:
    """Pictures for training and validation that a printed command's options come to."""
    words = shlex.split(command)
    given = list(zip(words[3:-2:2], words[4:-2:2], strict=True))
    values = [f"data.{k[2:].replace('-', '_')}={v}" for k, v in given if k != "--set"]
    values = [each.replace("data.data=", "data.train=") for each in values]
    values += [v for k, v in given if k == "--set"]
    dataset = open_dataset(load_recipe(words[2], values).data, 0)
    return len(dataset.train), len(dataset.validation)


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_two_domains(tmp_path: Path, form: str) -> None:
    """Byte for byte; the commands find them; a second time nothing is written; another archive is refused."""
    source = zipped(tmp_path / "h.zip", *HORSES, "h2z/readme.txt", "h2z/trainA/._1.png")
    if form == "folder":
        with zipfile.ZipFile(source) as archive:
            archive.extractall(source := tmp_path / "unpacked")
        (source / "h2z/valA").symlink_to(source / "h2z/testA")
    out = tmp_path / "data"
    made = prepare("horse2zebra", [source], out)
    assert made["counts"] == {"trainA": 2, "trainB": 2, "testA": 2, "testB": 2}
    assert examples(made["commands"][0]) == (2, 2)
    assert made["commands"][0].startswith("edgegan train gan_compression_horse2zebra --data")
    assert f"search.reference={out / 'testB'}" in made["commands"][1]
    stamp = (out / "trainA/1.png").stat().st_mtime_ns
    assert prepare("horse2zebra", [source], out)["key"] == made["key"]
    assert (out / "trainA/1.png").stat().st_mtime_ns == stamp
    other = zipped(tmp_path / "other.zip", *HORSES, "h2z/trainA/3.png")
    with pytest.raises(OutputError, match="--overwrite replaces it"):
        prepare("horse2zebra", [other], out)
    (out / "mine.txt").write_text("kept")
    assert prepare("horse2zebra", [other], out, overwrite=True)["counts"]["trainA"] == 3
    assert (out / "mine.txt").read_text() == "kept"


def test_side_by_side(tmp_path: Path) -> None:
    out = tmp_path / "my maps"
    made = prepare("maps", [tarred(tmp_path / "maps.tar.gz", *MAPS)], out)
    assert made["counts"] == {"train": 3, "val": 3}
    assert "data.direction=BtoA" in made["commands"][0]
    assert examples(made["commands"][0]) == (3, 3)


def test_streets(tmp_path: Path) -> None:
    """Label numbers become the 19 classes and stay beside; photos and maps are scaled together."""
    photos, maps = (
        zipfile.ZipFile(tmp_path / "l.zip", "w"),
        zipfile.ZipFile(tmp_path / "g.zip", "w"),
    )
    for part in ("train", "val", "test"):
        photos.writestr(f"leftImg8bit/{part}/ulm/ulm_0_leftImg8bit.png", picture())
        for kind in ("labelIds", "instanceIds", "color"):
            maps.writestr(f"gtFine/{part}/ulm/ulm_0_gtFine_{kind}.png", picture(mode="L"))
    photos.close(), maps.close()
    both = [tmp_path / "l.zip", tmp_path / "g.zip"]
    made = prepare("cityscapes", both, tmp_path / "out", size=(8, 12))
    kinds = ("photos", "labels", "label_ids", "instances")
    assert made["counts"] == {f"{kind}/{part}": 1 for kind in kinds for part in ("train", "val")}
    assert examples(made["commands"][0]) == (1, 1) == examples(made["commands"][2])
    assert "gan_compression_gaugan_cityscapes" in made["commands"][3]
    numbers = read_labels(tmp_path / "out/label_ids/train/ulm/ulm_0.png")
    classes = read_labels(tmp_path / "out/labels/train/ulm/ulm_0.png")
    assert numbers.shape == (8, 12)
    assert set(classes[numbers == 7]) <= {0} and set(classes[numbers == 26]) <= {13}
    assert set(classes[numbers < 7]) == {255}
    with pytest.raises(InputError, match="no leftImg8bit"):
        prepare("cityscapes", both[1:], tmp_path / "half")
    zipped(tmp_path / "l2.zip", *[f"leftImg8bit/val/ulm/{i}_leftImg8bit.png" for i in "12"])
    with pytest.raises(
        InputError, match=r"4 photos and labels .* have no partner: train/ulm/ulm_0"
    ):
        prepare("cityscapes", [tmp_path / "l2.zip", both[1]], tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_pairs_of_two_folders(tmp_path: Path) -> None:
    for side, suffix in (("in", "png"), ("out", "jpg")):
        for index in range(12):
            path = tmp_path / side / "sub" / f"{index}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(picture())).save(path)
    made = prepare("pairs", [tmp_path / "in", tmp_path / "out"], tmp_path / "data")
    assert made["counts"] == {
        f"{k}/sub": n
        for k, n in zip(("trainA", "trainB", "valA", "valB"), (11, 11, 1, 1), strict=True)
    }
    assert examples(made["commands"][0]) == (11, 1)


BAD = {
    "another data set": (lambda p: zipped(p, "x/train/1.png"), "no pictures of trainA"),
    "leads out": (lambda p: zipped(p, "../trainA/1.png"), "leads out"),
    "link": (lambda p: tarred(p, *HORSES, link="trainA/9.png"), "is a link"),
    "twice": (lambda p: zipped(p, *HORSES, "other/trainA/1.png"), "traina/1.png more than once"),
    "no archive": (lambda p: p.write_bytes(b"x" * 99) and p, "neither a zip nor a tar"),
    "missing": (lambda p: p, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_written(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(InputError, match=message):
        prepare("horse2zebra", [make(tmp_path / "a.zip")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'horse2zebra'"):
        prepare("horse2zebras", [], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("x")
    source = zipped(tmp_path / "h.zip", *HORSES)
    with pytest.raises(OutputError, match="was not written by edgegan"):
        prepare("horse2zebra", [source], tmp_path / "mine")
    monkeypatch.setattr("edgegan.data.collected.SMALL_BYTES", 100)
    monkeypatch.setattr("edgegan.data.collected.MOST_BYTES", 100)
    with pytest.raises(InputError, match="it would unpack to"):
        listed_files(source)


def test_download_is_whole_or_not_there(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.zip").write_bytes(b"12345678")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=served)
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        for name, largest in (("a.zip", 5), ("none.zip", 100)):
            with pytest.raises(EdgeGANError, match="nothing was kept"):
                download_archive(url + name, tmp_path / "cache", largest)
        assert os.listdir(tmp_path / "cache") == []  # noqa: PTH208
        kept = download_archive(url + "a.zip", tmp_path / "cache", 100)
        server.shutdown()
    assert kept.read_bytes() == b"12345678"
    assert download_archive(url + "a.zip", tmp_path / "cache", 100) == kept
