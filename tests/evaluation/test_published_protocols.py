"""Sets, scaling and rounding as published: by hand, and what a run's pictures become."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import make_pictures

from edgegan.commands.evaluating import evaluation_text
from edgegan.data.pictures import Rows
from edgegan.errors import ConfigError
from edgegan.evaluation.evaluate import Judged, Settings, evaluate_folders, seen_classes
from edgegan.evaluation.figures import Judge
from edgegan.evaluation.sets import PictureSet, folder_inputs, generate, limited, run_inputs
from edgegan.metrics.extractors import clean_square
from edgegan.metrics.networks import Network, NetworkCard
from edgegan.metrics.published_protocols import (
    PROTOCOLS,
    cut_off,
    cut_off_again,
    published_protocol,
)
from edgegan.models.packaging import import_to_package
from edgegan.package import ImageIO, LabelMapIO
from edgegan.recipe.loading import parse_recipe
from edgegan.run import Run


def test_values_in_8_bits() -> None:
    """(x + 1) / 2 * 255 without its fraction; real pictures go through [-1, 1], where small levels lose one."""
    values = np.array([-1, 0, 0.999, 1, 1.5], np.float32)
    assert cut_off(values).tolist() == [0, 127, 254, 255, 255]
    levels = np.arange(256).astype(np.uint8)
    lost = levels - cut_off_again(levels)
    assert lost.tolist() == [0] + [1] * 63 + [0] * 192


def test_pictures_as_clean_fid_scales_them() -> None:
    """Level 200 everywhere is (200 - 128) / 128; enlarging a step overshoots and is cut at 0 and 255."""
    plain = torch.full((1, 3, 20, 30), 200 / 127.5 - 1)
    assert torch.allclose(clean_square(plain), torch.tensor((200 - 128) / 128), atol=1e-6)
    step = torch.where(torch.arange(30) < 15, -1.0, 1.0).expand(1, 3, 20, 30)
    made = clean_square(step)
    assert made.shape == (1, 3, 299, 299)
    assert (float(made.min()), float(made.max())) == (-1.0, 127 / 128)


@pytest.fixture
def run_of_two_domains(tmp_path: Path, resnet_checkpoint: Path) -> Run:
    """Horses and zebras, 48x40 each, with a split for tests."""
    import_to_package(resnet_checkpoint, tmp_path / "teacher", size=(32, 32))
    counts = {"trainA": 3, "trainB": 4, "testA": 2, "testB": 5}
    where = {name: str(make_pictures(tmp_path / name, count)) for name, count in counts.items()}
    data = {"kind": "unpaired", "train": where["trainA"], "target": where["trainB"]}
    data |= {"validation": where["testA"], "validation_target": where["testB"]}
    data |= {"size": [32, 32], "validation_images": 1}  # type: ignore[dict-item]
    recipe = parse_recipe(
        {"name": "two", "teacher": str(tmp_path / "teacher"), "data": data}, "test"
    )
    return Run.start(tmp_path / "run", recipe, overwrite=False)


EXPECTED = {  # reference, its pictures, cut off
    "cyclegan": ("validation targets", 5, False),
    "gan-compression": ("training and validation targets", 9, True),
    "gan-slimming": ("training targets", 4, False),
    "clean": ("validation targets", 5, False),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_sets_of_a_run(run_of_two_domains: Run, name: str, tmp_path: Path) -> None:
    published = PROTOCOLS[name]
    inputs = run_inputs(run_of_two_domains, ImageIO(channels=3), None, published)
    reference = Settings(published=published).open_reference(inputs)
    title, count, cut = EXPECTED[name]
    assert (reference.name, len(reference), reference.cut) == (title, count, cut)  # type: ignore[union-attr,arg-type]
    assert reference.pixels(0).shape == (40, 48, 3)  # type: ignore[union-attr]
    assert (inputs.count, limited(inputs, 1).count) == (2, 1)  # all of them
    first = Image.open(tmp_path / "testA" / "picture0.png")
    whole = np.asarray(first.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    squashed = np.abs(inputs.read(0) - (whole / 127.5 - 1)).max() < 1e-6
    assert squashed == published.squash
    assert ("scaled to 32x32" in inputs.describe()) == published.squash
    assert ("cut off to 8 bits" in inputs.describe()) == published.truncate
    (tmp_path / "made").mkdir()
    made = generate(tmp_path / "teacher", "teacher", inputs, tmp_path / "made", 1)
    assert made.pixels(0).shape == (32, 32, 3)


def test_whole_label_maps_of_more_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cityscapes' numbers are judged as the classes that they are, at the label maps' size."""
    (tmp_path / "labels").mkdir()
    numbers = np.zeros((16, 32), np.uint8)
    numbers[:, :8], numbers[:, 8:16] = 2, 3
    Image.fromarray(numbers).save(tmp_path / "labels" / "a.png")
    published = PROTOCOLS["gan-compression"]
    config: Any = SimpleNamespace(input=LabelMapIO(classes=4), size=(8, 8))
    inputs = folder_inputs(tmp_path / "labels", config, None, None, published)
    assert inputs.labels(0).shape == (16, 32) and inputs.read(0).shape[1:] == (8, 8)
    card = NetworkCard(classes=["dark", "bright"], ignore=9, of_labels=(9, 9, 0, 1, 9))
    network = Network("eyes", "0" * 64, card, lambda x: torch.cat([-x[:, :1], x[:, :1]], 1) * 9)
    monkeypatch.setattr(
        "edgegan.evaluation.evaluate.open_segmenter", lambda *_: nullcontext(network)
    )
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[:, :, 2:4] = 255
    made = PictureSet("made", Rows(tmp_path, pixels, np.arange(1)))
    judged = Judged(made, None, {}, inputs.labels, None, "x", "y", classes=4)
    found = seen_classes(Judge("x", 0), judged, Settings(), tmp_path, {"": made})
    assert {each.name: each.value for each in found}["miou"] == 1
    assert found[0].protocol.settings.startswith("2 classes, label 9 ignored")
    one_more = replace(judged, classes=3, labels=lambda i: np.maximum(inputs.labels(i), 2) - 2)
    found = seen_classes(Judge("x", 0), one_more, Settings(), tmp_path, {"": made})
    assert found[0].protocol.settings.startswith("2 classes, label 2 ignored")


def test_other_names() -> None:
    assert published_protocol(None) is None
    with pytest.raises(ConfigError, match="did you mean 'cyclegan'"):
        published_protocol("cycle-gan")


def test_command_says_what_it_sets(tmp_path: Path) -> None:
    first = make_pictures(tmp_path / "a", 2, (40, 40))
    result = evaluate_folders(
        first, first, Settings(published=PROTOCOLS["gan-compression"], repeats=0)
    )
    assert result["protocol"]["name"] == "gan-compression"
    said = evaluation_text(result)
    assert "set by --protocol gan-compression" in said and "cut off to 8 bits" in said
