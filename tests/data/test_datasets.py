"""Kinds of data: matching, splitting, bad files, label maps, and batches that depend on seed and step alone."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import make_maps, make_pictures

from edgegan.data.batches import (
    Ahead,
    choose,
    draw_batch,
    draw_noise,
    middle_batch,
    positions,
)
from edgegan.data.checking import check_dataset, keep_findings
from edgegan.data.datasets import match, open_dataset, split_indices
from edgegan.data.images import Crop, resize_nearest, take_crop
from edgegan.data.labels import colour_labels, read_labels
from edgegan.data.pictures import open_rows
from edgegan.errors import ConfigError, InputError
from edgegan.recipe.data_section import Data
from edgegan.recipe.loading import load_recipe


@pytest.fixture
def paired(tmp_path: Path) -> Data:
    """Twelve pairs whose target is the input, so that a shared crop is seen at once."""
    a, b = make_pictures(tmp_path / "a", 12), make_pictures(tmp_path / "b", 12)
    return Data(kind="paired", train=a, target=b, size=(32, 32), resize=36, validation_images=4)


def test_partners_share_crop_and_mirror(paired: Data) -> None:
    split = open_dataset(paired, 0).train
    batch = draw_batch(split, positions(4, 3), seed=1)
    assert batch.input.shape == (4, 3, 32, 32)
    assert batch.target is not None
    assert torch.equal(batch.input, batch.target)
    again = draw_batch(split, positions(4, 3), seed=1)
    assert torch.equal(batch.input, again.input)
    assert not torch.equal(batch.input, draw_batch(split, positions(4, 4), seed=1).input)
    assert not torch.equal(batch.input, draw_batch(split, positions(4, 3), seed=2).input)


def test_ranks_together_see_the_doubled_batch(paired: Data) -> None:
    split = open_dataset(paired, 0).train
    both = draw_batch(split, positions(4, 5), 0).input
    parts = [draw_batch(split, positions(2, 5, rank, 2), 0).input for rank in (0, 1)]
    assert torch.equal(both, torch.cat(parts))
    assert list(positions(3, 2, 1, 2)) == [15, 16, 17]


def test_every_example_once_an_epoch() -> None:
    assert sorted(choose(5, position, 0, "order") for position in range(5, 10)) == list(range(5))
    orders = {tuple(choose(5, 5 * e + i, 0, "order") for i in range(5)) for e in range(20)}
    assert len(orders) > 1


def test_noise_depends_on_place_alone() -> None:
    rows = draw_noise(8, range(10, 14), seed=3)
    assert rows.dtype == torch.float32
    assert torch.equal(rows[2:], draw_noise(8, range(12, 14), seed=3))
    assert not torch.equal(rows, draw_noise(8, range(10, 14), seed=3, order="other"))
    many = draw_noise(64, range(500), seed=0)
    assert abs(float(many.mean())) < 0.03
    assert abs(float(many.std()) - 1) < 0.03


def test_ahead_keeps_order_and_passes_errors() -> None:
    with Ahead(lambda step: step * step, 9) as squares:
        assert [squares.take(step) for step in range(3, 9)] == [9, 16, 25, 36, 49, 64]

    def fail(step: int) -> int:
        if step == 5:
            raise InputError("step five")
        return step

    with Ahead(fail, 9) as drawn, pytest.raises(InputError, match="step five"):
        [drawn.take(step) for step in range(9)]


def test_aligned_halves_and_direction(tmp_path: Path) -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 32:] = 255
    for index in range(4):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    for direction, value in (("AtoB", -1.0), ("BtoA", 1.0)):
        data = Data(kind="paired", train=tmp_path, size=(32, 32), direction=direction)
        batch = draw_batch(open_dataset(data, 0).train, positions(2, 0), 0)
        assert batch.target is not None
        assert (float(batch.input.mean()), float(batch.target.mean())) == (value, -value)
    Image.fromarray(pixels[:, :63]).save(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"0\.png is 63 pixels wide"):
        check_dataset(open_dataset(data, 0))


def test_unpaired_domains_have_their_own_order(tmp_path: Path) -> None:
    a, b = make_pictures(tmp_path / "a", 5), make_pictures(tmp_path / "b", 12)
    data = Data(kind="unpaired", train=a, target=b, size=(32, 32), flip=False)
    dataset = open_dataset(data, 0)
    assert len(dataset.train) == 11
    assert dataset.train.inputs is not None
    assert len(dataset.train.inputs) == 4
    batch = middle_batch(dataset.validation, range(2))
    assert batch.input.shape == (2, 3, 32, 32)


def test_labels_become_planes_and_borders(tmp_path: Path) -> None:
    labels, photos = make_maps(tmp_path / "l", 6), make_pictures(tmp_path / "p", 6)
    instances = tmp_path / "i"
    instances.mkdir()
    for index in range(6):
        values = np.full((40, 48), 24000, np.uint16)
        values[:, 24:] = 24001
        Image.fromarray(values).save(instances / f"picture{index}.png")
    data = Data(
        kind="labels", train=labels, target=photos, instances=instances, classes=3, size=(32, 32)
    )
    batch = draw_batch(check_dataset(open_dataset(data, 0)).train, positions(2, 0), 0)
    assert batch.input.shape == (2, 4, 32, 32)
    assert torch.equal(batch.input[:, :3].sum(1), torch.ones(2, 32, 32))
    assert set(batch.input[:, 3].sum((1, 2)).tolist()) == {64.0}


def test_wrong_class_names_file_and_setting(tmp_path: Path) -> None:
    labels, photos = make_maps(tmp_path / "l", 4), make_pictures(tmp_path / "p", 4)
    odd = np.zeros((40, 48), np.uint8)
    odd[0, 0] = 255
    Image.fromarray(odd).save(labels / "picture2.png")
    data = Data(kind="labels", train=labels, target=photos, classes=3, size=(32, 32))
    with pytest.raises(InputError, match=r"picture2\.png holds class 255.*data.unlabelled=255"):
        check_dataset(open_dataset(data, 0))
    known = data.model_copy(update={"unlabelled": 255})
    split = check_dataset(open_dataset(known, 0)).train
    assert draw_batch(split, positions(1, 0), 0).input.shape[1] == known.label_classes == 4


def test_label_files_that_cannot_be_labels(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 7)
    palette.putpalette(bytes(range(24)))
    palette.save(tmp_path / "palette.png")
    assert read_labels(tmp_path / "palette.png").tolist() == [[7] * 4] * 4
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_labels(tmp_path / "colour.png")
    Image.new("L", (4, 4)).save(tmp_path / "lossy.jpg")
    with pytest.raises(InputError, match="is a JPEG"):
        read_labels(tmp_path / "lossy.jpg")
    colours = colour_labels(np.arange(20)[None])
    assert len({tuple(colour) for colour in colours[0]}) == 20


def test_label_map_is_cut_like_its_photo() -> None:
    photo = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) % 251
    picture = np.repeat(photo.astype(np.uint8)[..., None], 3, 2)
    crop = Crop(0, 0.4, 0.7)
    assert np.array_equal(
        take_crop(photo, crop, (32, 32), None), take_crop(picture, crop, (32, 32), None)[..., 0]
    )
    assert resize_nearest(np.array([[1, 2], [3, 4]]), 4, 2).tolist() == [
        [1, 2],
        [1, 2],
        [3, 4],
        [3, 4],
    ]


def test_names_without_partner_are_listed(tmp_path: Path) -> None:
    a, b = make_pictures(tmp_path / "a", 4), make_pictures(tmp_path / "b", 3)
    with pytest.raises(InputError, match=r"1 of 4 files .*picture3\.png"):
        open_dataset(Data(kind="paired", train=a, target=b), 0)
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(Data(kind="paired", train=a, target=tmp_path / "none"), 0)


def test_cityscapes_names_match(tmp_path: Path) -> None:
    photo = tmp_path / "photo/aachen/aachen_000001_000019_leftImg8bit.png"
    label = tmp_path / "gt/aachen/aachen_000001_000019_gtFine_labelIds.png"
    assert match([label], tmp_path / "gt", [photo], tmp_path / "photo") == ([label], [photo])


def test_split_is_a_seeded_tenth(tmp_path: Path) -> None:
    train, held = split_indices(50, 100, 3, tmp_path)
    assert len(held) == 5
    assert sorted(train + held) == list(range(50))
    assert split_indices(50, 100, 3, tmp_path) == (train, held)
    assert split_indices(50, 100, 4, tmp_path) != (train, held)
    assert len(split_indices(5000, 100, 0, tmp_path)[1]) == 100
    with pytest.raises(InputError, match="holds one example"):
        split_indices(1, 100, 0, tmp_path)


def test_bad_files_are_named_and_skipped_only_when_asked(
    tmp_path: Path, paired: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paired.target is not None and paired.train is not None
    (paired.target / "picture3.png").write_bytes(b"not a picture")
    Image.new("RGB", (10, 10)).save(paired.train / "picture5.png")
    with pytest.raises(InputError, match=r"picture3\.png is damaged.*--skip-bad|different size"):
        check_dataset(open_dataset(paired, 0))
    lenient = paired.model_copy(update={"skip_bad": True})
    note = tmp_path / "checked.json"
    dataset = check_dataset(open_dataset(lenient, 0), note)
    keep_findings(dataset, note)
    assert len(dataset.train) + len(dataset.validation) == 10
    told = capsys.readouterr().err
    assert "picture3.png is damaged" in told
    assert "partners of different size" in told
    again = check_dataset(open_dataset(lenient, 0), note)
    assert len(again.train) == len(dataset.train)
    assert "checking" not in capsys.readouterr().err


def test_arrays_of_pictures(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", labels=np.zeros(20), images=images)
    np.save(tmp_path / "set.npy", images)
    rows = open_rows(tmp_path / "set.npz").only([3, 5])
    assert np.array_equal(rows.read(1), images[5])
    assert rows.name(1).endswith("set.npz[5]")
    assert isinstance(open_rows(tmp_path / "set.npy").array, np.memmap)
    data = Data(kind="noise", train=tmp_path / "set.npy", size=(32, 32), flip=False)
    batch = draw_batch(open_dataset(data, 0).train, positions(3, 0), 0, noise=16)
    assert batch.target is not None
    assert (batch.input.shape, batch.target.shape) == ((3, 16), (3, 3, 32, 32))
    np.save(tmp_path / "wrong.npy", np.zeros((2, 4, 4, 3)))
    with pytest.raises(InputError, match=r"float64 \(2, 4, 4, 3\)"):
        open_rows(tmp_path / "wrong.npy")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match=r"text\.npz is not a readable"):
        open_rows(tmp_path / "text.npz")


def test_large_sets_stay_on_disk(tmp_path: Path) -> None:
    """5,000 pictures of 3 MB decoded each: the memory of a batch, not of the set."""
    picture = tmp_path / "original.png"
    Image.new("RGB", (1024, 1024), "red").save(picture)
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(5000):
        os.link(picture, folder / f"{index}.png")
    split = open_dataset(Data(train=folder, size=(64, 64)), 0).train
    tracemalloc.start()
    for step in range(4):
        draw_batch(split, positions(2, step), 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.kind=labels"], "classes is not set"),
        (["data.kind=labels", "data.classes=3", "data.class_names=[a, b]"], "2 names for 3"),
        (["data.kind=labels", "data.classes=3", "data.unlabelled=2"], "one of the classes"),
        (["data.classes=3"], "classes means nothing for kind images"),
        (["data.target=x"], "target means nothing for kind images"),
        (["data.kind=unpaired", "data.train=x"], r"domain B \(--target\)"),
        (["data.kind=labels", "data.classes=3", "data.train=x"], "folder of photos"),
        (["data.kind=paired", "data.target=x", "data.direction=BtoA"], "direction means nothing"),
        (["data.kind=paired", "data.target=x", "data.validation=y"], "set validation_target too"),
        (["data.kind=paired", "data.validation_target=y"], "means nothing without"),
        (["data.kind=pairs"], "data.kind"),
    ],
)
def test_data_keys_that_do_not_fit(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("resnet", settings)


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train is not set"):
        open_dataset(Data(), 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in"):
        open_dataset(Data(train=tmp_path / "empty"), 0)


def test_camvid_labels(data_folder: Path) -> None:
    folder = data_folder / "images/camvid256/train"
    data = Data(
        kind="labels",
        train=folder / "label",
        target=folder / "photo",
        classes=12,
        size=(96, 128),
        resize=108,
    )
    batch = draw_batch(open_dataset(data, 0).train, positions(2, 0), 0)
    assert batch.input.shape == (2, 12, 96, 128)
    assert torch.equal(batch.input.sum(1), torch.ones(2, 96, 128))


def test_results_of_the_public_test_script_are_pairs(tmp_path: Path) -> None:
    """1_fake_B.png and 1_real_B.png; a folder that holds both kinds is matched by whole names."""
    fakes = [tmp_path / "fake" / f"{i}_fake_B.png" for i in range(2)]
    reals = [tmp_path / "real" / f"{i}_real_B.png" for i in range(2)]
    assert match(fakes, tmp_path / "fake", reals, tmp_path / "real") == (fakes, reals)
    mixed = [tmp_path / "real" / fakes[0].name, *reals]
    assert match(fakes[:1], tmp_path / "fake", mixed, tmp_path / "real")[1] == mixed[:1]
    double = [*reals, tmp_path / "real" / "0_real_A.png"]
    with pytest.raises(InputError, match="no partner"):
        match(fakes, tmp_path / "fake", double, tmp_path / "real")
