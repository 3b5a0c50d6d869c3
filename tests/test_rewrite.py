"""Every rewrite leaves the function as it was, and is recorded."""

from __future__ import annotations

import pytest
import torch
from edgegan.export.layers import (
    ChannelLast,
    ChannelLastInstanceNorm,
    ConcatReflectionPad,
    DepthToSpaceDoubling,
    StridedHead,
)
from edgegan.export.rewrite import rewrite
from torch import nn

from edgegan.models.cartoon import CartoonGenerator, CartoonSpec
from edgegan.models.resnet import ResnetGenerator, ResnetSpec


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (3, 3, 3, 3), (0, 2, 1, 0)])
def test_reflection_pad(padding: tuple[int, int, int, int]) -> None:
    pad, x = nn.ReflectionPad2d(padding), image(2, 3, 9, 8)
    assert torch.equal(ConcatReflectionPad(pad)(x), pad(x))


@pytest.mark.parametrize("affine", [False, True])
def test_instance_norm(affine: bool) -> None:
    torch.manual_seed(0)
    norm, x = nn.InstanceNorm2d(5, affine=affine), image(2, 5, 12, 10) * 3 + 1
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    assert torch.allclose(ChannelLastInstanceNorm(norm)(x), norm(x), atol=2e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_transposed_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1, bias=bias)
    x = image(2, 4, 7, 6)
    assert torch.allclose(DepthToSpaceDoubling(layer)(x), layer(x), atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 7])
def test_strided_head(kernel: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(6, 3, kernel), image(2, 6, 8 + kernel - 1, 10 + kernel - 1)
    assert torch.allclose(StridedHead(layer)(x), layer(x), atol=1e-6)


def randomise(module: nn.Module) -> nn.Module:
    """Norms with statistics and scales that matter."""
    torch.manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
        if isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d)) and layer.weight is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    return module.eval()


NETS = {
    "resnet dense": ResnetGenerator(ResnetSpec.from_ngf(8, 2)),
    "resnet separable batch": ResnetGenerator(
        ResnetSpec.from_ngf(8, 2, block="separable", norm="batch")
    ),
    "resnet separable affine": ResnetGenerator(
        ResnetSpec.from_ngf(8, 2, block="separable", norm="instance_affine")
    ),
    "resnet affine dropout": ResnetGenerator(
        ResnetSpec.from_ngf(8, 1, norm="instance_affine", dropout=0.5)
    ),
    "cartoon": CartoonGenerator(
        CartoonSpec(stem=8, down1=(12, 16), down2=(20, 24), inner=(16,), up1=(12, 10), up2=(8, 8))
    ),
}


@pytest.mark.parametrize("target", ["onnx", "tflite"])
@pytest.mark.parametrize("name", NETS)
def test_whole_nets_stay_equal(name: str, target: str) -> None:
    module, x = randomise(NETS[name]), image(3, 3, 32, 40)
    with torch.no_grad():
        graph, records = rewrite(module, x, target)
        assert torch.allclose(graph(x[:1]), module(x[:1]), atol=2e-5)
    kinds = {record.rewrite for record in records}
    assert ("fuse_batch_norm" in kinds) == ("batch" in name)
    assert ("equalise_linear_pair" in kinds) == (name == "cartoon")
    assert ("fold_affine_into_pointwise" in kinds) == (name == "resnet separable affine")
    if target == "tflite":
        assert ("scale_only_norm" in kinds) == (name == "resnet separable affine")
        assert {"concat_reflection_pad", "depth_to_space_doubling", "strided_head"} <= kinds
        left = {type(layer) for layer in graph.modules()}
        assert not left & {
            nn.ReflectionPad2d,
            nn.ConvTranspose2d,
            nn.InstanceNorm2d,
            nn.BatchNorm2d,
            nn.Dropout,
        }


def test_original_is_untouched() -> None:
    module = randomise(ResnetGenerator(ResnetSpec.from_ngf(8, 1, norm="batch")))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    rewrite(module, image(1, 3, 16, 16), "tflite")
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_channel_last_signature() -> None:
    layer, x = nn.Conv2d(3, 2, 1), image(1, 3, 4, 5)
    assert torch.equal(
        ChannelLast(layer)(x.permute(0, 2, 3, 1))["output"], layer(x).permute(0, 2, 3, 1)
    )
