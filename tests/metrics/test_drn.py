"""DRN-D by the keys of its public weights: what the network sees, and clear words for other files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from edgegan.data.cityscapes import CLASSES, OF_LABELS
from edgegan.errors import CheckpointError
from edgegan.metrics.drn import bilinear
from edgegan.metrics.segmentation import segment
from edgegan.models.segmenters import open_segmenter

WIDTHS = (2, 2, 3, 2, 3, 2, 2, 3, 2)
BLOCKS = (1, 1, 1, 2, 1, 1, 1, 1, 1)


def weights(deep: bool) -> dict[str, torch.Tensor]:
    """A narrow network with random weights in the public layout."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def add(convolution: str, norm: str, out: int, inner: int, side: int) -> None:
        state[f"{convolution}.weight"] = torch.randn(out, inner, side, side) * 0.4
        state[f"{norm}.weight"] = torch.rand(out) + 0.5
        state[f"{norm}.running_var"] = torch.rand(out) + 0.5
        for key in ("bias", "running_mean"):
            state[f"{norm}.{key}"] = torch.randn(out) * 0.1

    inner = 3
    for level, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        for index in range(count):
            name = f"base.{level}.{index}"
            if level not in (3, 4, 5, 6):
                add(f"base.{level}.{3 * index}", f"base.{level}.{3 * index + 1}", width, inner, 3)
                inner = width
                continue
            out = 4 * width if deep else width
            sides = ((width, inner, 1), (width, width, 3), (out, width, 1))
            for number, sizes in enumerate(sides if deep else ((out, inner, 3), (out, out, 3)), 1):
                add(f"{name}.conv{number}", f"{name}.bn{number}", *sizes)
            if inner != out or (index == 0 and level in (3, 4)):
                add(f"{name}.downsample.0", f"{name}.downsample.1", out, inner, 1)
            inner = out
    state["seg.weight"], state["seg.bias"] = torch.randn(19, inner, 1, 1), torch.randn(19)
    state["up.weight"] = bilinear(19)
    return state


@pytest.mark.parametrize("deep", [True, False])
def test_sees_every_pixel(tmp_path: Path, deep: bool) -> None:
    """Nineteen classes at an eighth, enlarged; fed by Cityscapes' means; one level by hand."""
    path = tmp_path / "drn-d_cityscapes.pth"
    torch.save({f"module.{key}": value for key, value in weights(deep).items()}, path)
    with open_segmenter(path) as network, torch.inference_mode():
        made = network.call(torch.rand(1, 3, 20, 24) * 2 - 1)
        assert made.shape == (1, 19, 24, 24)
        assert segment(made, (40, 48)).shape == (19, 40, 48)
    assert network.card.classes == list(CLASSES) and network.card.ignore == 255
    assert network.card.translates(35) and not network.card.translates(19)
    assert [OF_LABELS[k] for k in (7, 33, 0, 34)] == [0, 18, 255, 255]


def test_enlarges_bilinearly() -> None:
    """Away from the border as interpolation does."""
    x = torch.rand(1, 2, 5, 6)
    made = F.conv_transpose2d(x, bilinear(2), stride=8, padding=4, groups=2)
    expected = F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    assert torch.allclose(made[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=1e-6)


@pytest.mark.parametrize("broken", ["base.4.0.bn1.running_var", "seg.weight", "base.7.0.weight"])
def test_other_files(tmp_path: Path, broken: str) -> None:
    state = weights(True)
    del state[broken]
    torch.save(state, tmp_path / "net.pth")
    with (
        pytest.raises(CheckpointError, match=rf"net\.pth lacks '{broken}'"),
        open_segmenter(tmp_path / "net.pth"),
    ):
        pass


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    state = weights(True)
    state["base.5.0.conv2.weight"] = torch.ones(2, 1, 3, 3)
    torch.save(state, tmp_path / "net.pth")
    with (
        open_segmenter(tmp_path / "net.pth") as network,
        pytest.raises(CheckpointError, match="do not fit together"),
    ):
        network.call(torch.zeros(1, 3, 16, 16))
