"""The script that trains a segmentation network: it learns, and evaluate reads what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgegan.benchmarks.studies import train_segmenter as segmentation
from edgegan.evaluation.evaluate import Settings, evaluate_folders


def make_pairs(folder: Path, count: int) -> None:
    """Bright rectangles (class 1) on dark ground (class 0), the first row unlabelled (2)."""
    chance = np.random.default_rng(count)
    for name in ("photo", "label"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        label = np.zeros((32, 40), np.uint8)
        top, left = chance.integers(2, 16, 2)
        label[top : top + 12, left : left + 16] = 1
        noise = chance.integers(0, 40, (32, 40, 3))
        photo = (noise + np.where(label, 190, 20)[..., None]).astype(np.uint8)
        label[0] = 2
        Image.fromarray(photo).save(folder / "photo" / f"{index}.png")
        Image.fromarray(label).save(folder / "label" / f"{index}.png")


def test_learns_and_is_read_by_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pairs(tmp_path / "data" / "train", 6)
    make_pairs(tmp_path / "data" / "val", 3)
    output = tmp_path / "out" / "net.pt"
    arguments = [str(tmp_path / "data"), "-o", str(output), "--seconds", "1.5"]
    monkeypatch.setattr("sys.argv", ["segmentation", *arguments, "--classes", "3", "--ignore", "2"])
    segmentation.main()
    assert "3 held-out photos" in capsys.readouterr().out
    held = tmp_path / "data" / "val"
    settings = Settings(segmentation=output, labels=held / "label", repeats=10)
    figures = evaluate_folders(held / "photo", held / "photo", settings)["figures"]
    found = {each["name"]: each for each in figures}
    assert found["pixel_accuracy"]["value"] > 0.8
    assert found["miou"]["protocol"]["network"] == "small-segmenter"
    assert "label 2 ignored" in found["miou"]["protocol"]["settings"]


def test_ignored_class_weighs_nothing() -> None:
    labels = np.array([[0, 0, 0, 1], [2, 2, 2, 2]], np.uint8)
    weights = segmentation.class_weights(labels, 3, 2)
    expected = [1 / np.log(1.02 + 0.75), 1 / np.log(1.02 + 0.25), 0]
    assert weights.tolist() == pytest.approx(expected)


def test_scores_have_the_size_of_the_picture() -> None:
    assert segmentation.Segmenter(5).eval()(torch.zeros(1, 3, 48, 64)).shape == (1, 5, 48, 64)
