"""The outside of an artefact: what goes in and comes out in every layout, order, range and number type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgegan.artefact import TensorInfo
from edgegan.errors import ConfigError
from edgegan.export.signature import Boundary, Signature
from edgegan.models.packaging import golden_inputs
from edgegan.package import ImageIO, LabelMapIO, NoiseIO
from edgegan.tensors import from_artefact, to_artefact

SIZE = (6, 8)


class Tint(nn.Module):
    """Treats every channel in its own way, so that a swap shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * torch.tensor([0.9, 0.5, 0.1]).reshape(1, 3, 1, 1)).clamp(-1, 1)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("low", "high", "io"), [(-1, 1, "float32"), (0, 1, "float32"), (0, 255, "uint8")]
)
def test_picture_in_every_form(layout: str, colour: str, low: float, high: float, io: str) -> None:
    signature = Signature.model_validate(
        {"layout": layout, "colour": colour, "range": (low, high), "io": io}
    ).resolved("NCHW")
    takes = signature.input_info(ImageIO(), SIZE)
    gives = signature.image_info("output", ImageIO(), SIZE)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, *SIZE)).astype(np.float32)
    outside = to_artefact(x, takes)
    assert outside.dtype == io
    assert list(outside.shape[1:]) == takes.shape[1:]
    assert float(outside.min()) >= low and float(outside.max()) <= high
    inside = from_artefact(outside, takes)
    assert np.abs(inside - x).max() < (1 / 127 if io == "uint8" else 1e-6)
    made = Boundary(Tint(), takes, gives)(torch.from_numpy(outside))["output"].numpy()
    assert made.dtype == io
    expected = Tint()(torch.from_numpy(inside)).numpy()
    level = 1.01 / 127.5 if io == "uint8" else 1e-6
    assert np.abs(from_artefact(made, gives) - expected).max() <= level


def test_bytes_by_hand() -> None:
    info = Signature(io="uint8", colour="bgr").resolved("NHWC").input_info(ImageIO(), (1, 1))
    x = np.array([[[[-1.0]], [[0.0]], [[1.0]]]], np.float32)
    assert to_artefact(x, info).tolist() == [[[[255, 128, 0]]]]


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("labels", ["index", "one-hot"])
@pytest.mark.parametrize("classes", [5, 300])
def test_label_maps(edge: bool, labels: str, classes: int) -> None:
    kind = LabelMapIO(classes=classes, instance_edge=edge)
    x = golden_inputs(2, (24, 32), kind).numpy()
    signature = Signature.model_validate({"labels": labels}).resolved("NHWC")
    takes = signature.input_info(kind, (24, 32))
    if labels == "index":
        assert takes.dtype == ("uint8" if classes == 5 else "int32")
        assert takes.shape == [1, 24, 32, 1 + edge]
    gives = signature.image_info("output", ImageIO(), (24, 32))
    outside = torch.from_numpy(to_artefact(x, takes))
    inside = Boundary(nn.Identity(), takes, gives).enter(outside).numpy()
    assert np.array_equal(inside, x)


def test_noise_is_left_alone() -> None:
    takes = Signature().resolved("NHWC").input_info(NoiseIO(dimension=7), (32, 32))
    assert takes.shape == [1, 7]
    z = np.ones((2, 7), np.float32)
    assert to_artefact(z, takes) is z


def test_options_that_disagree_are_refused() -> None:
    with pytest.raises(ConfigError, match="uint8 holds 0 to 255"):
        Signature(io="uint8", range=(0.0, 1.0)).resolved("NCHW")
    with pytest.raises(ConfigError, match="must be the smaller"):
        Signature(range=(1.0, 0.0)).resolved("NCHW")


def test_grey_pictures_have_no_order() -> None:
    info = (
        Signature(colour="bgr")
        .resolved("NCHW")
        .image_info("x", ImageIO(channels=1, colour="grey"), SIZE)
    )
    assert info.colour == "grey"
    assert isinstance(info, TensorInfo)
