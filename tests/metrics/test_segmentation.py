"""Mean IoU and average precision by hand, and networks from files that judge pictures."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgegan.errors import CheckpointError, EdgeGANError, InputError
from edgegan.metrics.networks import open_network
from edgegan.metrics.segmentation import (
    PrecisionCurve,
    class_iou,
    confusion,
    iou_interval,
    mean_iou,
    pixel_accuracy,
    segment,
)


def test_iou_by_hand() -> None:
    """Class 0: 1 of 3 pixels in common; class 1: 2 of 4; class 2 is nowhere; the ignored pixel does not count."""
    truth = np.array([[0, 0, 1], [1, 1, 9]])
    predicted = np.array([[0, 1, 1], [1, 0, 2]])
    matrix = confusion(predicted, truth, 3, ignore=9)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert class_iou(matrix)[:2].tolist() == [1 / 3, 2 / 4]
    assert np.isnan(class_iou(matrix)[2])
    assert mean_iou(matrix) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert pixel_accuracy(matrix) == 3 / 5


def test_labels_that_cannot_be_counted() -> None:
    good = np.zeros((2, 2), int)
    with pytest.raises(InputError, match="holds class 7"):
        confusion(good, good + 7, 3)
    with pytest.raises(InputError, match="do not match"):
        confusion(good, np.zeros((3, 2), int), 3)
    with pytest.raises(InputError, match="every label is the ignored one"):
        mean_iou(confusion(good, good, 3, ignore=0))


def test_interval_over_pictures() -> None:
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 3, (12, 8, 8))
    predicted = np.where(chance.random(truth.shape) < 0.7, truth, 0)
    matrices = [confusion(p, t, 3) for p, t in zip(predicted, truth, strict=True)]
    interval = iou_interval(matrices, repeats=100)
    assert interval is not None
    assert interval[0] < mean_iou(np.sum(matrices, axis=0)) < interval[1]


def test_average_precision_by_hand() -> None:
    """Ranked by score, right ones are 1st, 3rd and 4th of five: (1/1 + 2/3 + 3/4) / 3."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    truth = np.array([1, 0, 1, 1, 0])
    curve = PrecisionCurve(3)
    curve.add(np.stack([1 - scores, scores, scores * 0])[:, None], truth[None])
    values = curve.class_precision()
    assert values[1] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert values[0] == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert np.isnan(values[2])
    assert curve.mean_precision() == pytest.approx((values[0] + values[1]) / 2)


def save_torchscript(module: nn.Module, path: Path, shape: tuple[int, ...]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.zeros(shape)).save(str(path))
    return path


def test_network_is_fed_as_its_card_says(tmp_path: Path) -> None:
    """Without a card RGB in [-1, 1]; with one (value - mean) / std of [0, 1], at the card's size."""
    path = save_torchscript(nn.Identity(), tmp_path / "net.pt", (1, 3, 4, 4))
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    with open_network(path) as network:
        assert network.name == "net.pt"
        assert torch.allclose(network.call(x), x, atol=1e-6)
    card = {"name": "thing", "mean": [0, 0.5, 0], "std": [1, 2, 1], "size": [4, 4]}
    (tmp_path / "net.pt.json").write_text(json.dumps(card))
    with open_network(path) as network:
        made = network.call(torch.full((1, 3, 8, 8), 0.5))
    assert network.name == "thing"
    assert made.shape == (1, 3, 4, 4)
    assert made[0, :, 0, 0].tolist() == pytest.approx([0.75, 0.125, 0.75])


def test_onnx_network(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    outputs = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [inputs], [outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "net.onnx"))
    x = torch.rand(2, 3, 4, 4)
    with open_network(tmp_path / "net.onnx") as network:
        assert torch.allclose(network.call(x), -x, atol=1e-6)


def test_files_that_are_no_network(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "net.h5").write_bytes(b"x")
    good = save_torchscript(nn.Identity(), tmp_path / "good.pt", (1, 3, 4, 4))
    (tmp_path / "good.pt.json").write_text('{"means": [0, 0, 0]}')
    cases = [("none.pt", "does not exist"), ("weights.pt", "only weights"), ("net.h5", "export it")]
    cases += [("damaged.pt", "damaged"), (good.name, "means")]
    for name, words in cases:
        with pytest.raises(EdgeGANError, match=words) as caught, open_network(tmp_path / name):
            pass
        assert name in str(caught.value)


def test_archive_that_opens_files_is_refused(tmp_path: Path) -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.from_file("/tmp/anything", shared=False, size=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Reads()).save(str(tmp_path / "reads.pt"))
    with (
        pytest.raises(CheckpointError, match="opens files by itself"),
        open_network(tmp_path / "reads.pt"),
    ):
        pass


def test_segment_scales_to_the_labels() -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[:, 1] = 3
    probabilities = segment(logits, (4, 4))
    assert probabilities.shape == (2, 4, 4)
    assert probabilities[1, 0, 0] == pytest.approx(np.exp(3) / (1 + np.exp(3)))
    with pytest.raises(InputError, match="must give"):
        segment(torch.zeros(1, 2), (4, 4))
