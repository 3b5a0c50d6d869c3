"""Which generators' pixels depend on the whole picture, and what a pass of it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgegan.deployment.whole_picture import try_out
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.unet.network import UnetSpec


class Body(nn.Module):
    """A convolution, and something between."""

    def __init__(self, between: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return y + self.between(y)  # type: ignore[operator]


def attention(x: torch.Tensor) -> torch.Tensor:
    flat = x.flatten(2)
    return (flat @ F.softmax(flat.transpose(1, 2) @ flat, dim=-1)).reshape(x.shape)


CASES = {
    "a mean over the picture": (lambda x: x.mean((2, 3), keepdim=True), True),
    "a mean without axes kept": (lambda x: x.mean((2, 3))[:, :, None, None], True),
    "variance": (lambda x: torch.var_mean(x, (2, 3), keepdim=True)[0], True),
    "an adaptive pool": (nn.AdaptiveAvgPool2d(1), True),
    "attention": (attention, True),
    "a functional norm": (F.instance_norm, True),
    "GroupNorm": (nn.GroupNorm(2, 4), True),
    "LayerNorm of pictures": (nn.LayerNorm([4, 16, 16]), True),
    "BatchNorm without statistics": (nn.BatchNorm2d(4, track_running_stats=False), True),
    "a mean over channels": (lambda x: x.mean(1, keepdim=True), False),
    "softmax over channels": (nn.Softmax(1), False),
    "BatchNorm": (nn.BatchNorm2d(4), False),
    "InstanceNorm with its statistics": (nn.InstanceNorm2d(4, track_running_stats=True), False),
    "a pool": (lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2), False),
}


@pytest.mark.parametrize("name", CASES)
def test_what_mixes_all_pixels(name: str) -> None:
    between, sees = CASES[name]
    assert try_out(Body(between).eval(), torch.rand(1, 3, 16, 16)).sees_whole is sees


@pytest.mark.parametrize(
    ("norm", "sees"),
    [
        ("instance", True),
        ("instance_affine", True),
        ("batch-global", True),
        ("batch", False),
        ("none", False),
    ],
)
def test_norms_of_families(norm: str, sees: bool) -> None:
    spec = ResnetSpec.from_ngf(2, 1, norm=norm)
    assert try_out(spec.build().eval(), torch.zeros(1, 3, 32, 32)).sees_whole is sees
    if norm != "batch-global":
        unet = UnetSpec.from_ngf(2, 4, norm=norm)
        assert try_out(unet.build().eval(), torch.zeros(1, 3, 32, 32)).sees_whole is sees


def test_memory_of_a_pixel() -> None:
    """The largest call of a 1x1 convolution from 3 to 5 channels reads 3 floats (and 20 weights) and makes 5."""
    trial = try_out(nn.Conv2d(3, 5, 1), torch.zeros(1, 3, 10, 10))
    assert trial.bytes_per_pixel == 4 * 4 * (8 + (15 + 5) / 100)
