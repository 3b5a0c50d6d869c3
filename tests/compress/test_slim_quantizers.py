"""The int8 grids by hand, gradients through them, and what the published quantizer does to a signed stream."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgegan.compress.slimming.deployed import (
    ImageOnly,
    bake,
    calibrate,
    ranges_of,
    scheme_of,
    simulate,
)
from edgegan.compress.slimming.int8_layers import QuantizedConvolution
from edgegan.compress.slimming.quantizers import (
    LearnedRange,
    WeightQuantizer,
    dynamic_int8,
    paper_activation,
    paper_weight,
    symmetric,
)
from edgegan.deployment.enlargement import is_doubling
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec


def student(norm: str = "instance_affine", block: str = "separable") -> ResnetGenerator:
    torch.manual_seed(0)
    module = ResnetGenerator(ResnetSpec.from_ngf(8, 1, norm=norm, block=block)).eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return module


def test_dynamic_range_by_hand() -> None:
    x = torch.tensor([[[[-1.0, 0.0]], [[0.5, 1.55]]], [[[0.0, 2.0]], [[4.0, 5.1]]]])
    y = dynamic_int8(x)
    # first picture: scale 2.55 / 255 = 0.01, zero point -128 + 100 = -28; second: from 0 to 5.1, scale 0.02
    assert torch.allclose(y[0], torch.tensor([[[-1.0, 0.0]], [[0.5, 1.55]]]), atol=1e-6)
    assert float(y[1, 1, 0, 1]) == pytest.approx(5.1, abs=1e-5)
    assert float(dynamic_int8(torch.full((1, 1, 1, 2), 0.013))[0, 0, 0, 0]) == pytest.approx(0.013)


def test_learned_range_learns_both_ends() -> None:
    layer = LearnedRange()
    layer.watch(True)
    layer(torch.tensor([[-1.0, 3.0]]))
    layer.watch(False)
    assert [float(end.detach()) for end in layer.ends()] == [-1.0, 3.0]
    y = layer(torch.tensor([[-2.0, 0.5, 4.0]]))
    assert float(y[0, 0].detach()) == pytest.approx(-1.0, abs=0.01)
    assert float(y[0, 2].detach()) == pytest.approx(3.0, abs=0.01)
    y.square().sum().backward()
    assert layer.factors.grad is not None and bool((layer.factors.grad != 0).all())


def test_weight_grid_is_found_again_by_a_converter() -> None:
    """Whatever the learned step, the largest weight / 127 of the quantised weights is the step in use."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 50))
    quantizer = WeightQuantizer(weight)
    quantizer.factor.data = torch.tensor([0.0, -0.3, 0.4, -1.0])
    found = quantizer(weight)
    assert torch.allclose(symmetric(found), found, atol=1e-6)
    assert float(found[1].detach().abs().max()) < float(weight[1].detach().abs().max())
    found.square().sum().backward()
    assert quantizer.factor.grad is not None and float(quantizer.factor.grad[1]) != 0
    assert weight.grad is not None


def test_published_quantizer_by_hand() -> None:
    assert paper_activation(torch.tensor([-1.0, 0.01, 2.0, 9.0])).tolist() == [0, 0.015625, 2, 4]
    assert paper_weight(torch.tensor([[1.27, 0.004], [0.016, -1.27]])).flatten().tolist() == (
        pytest.approx([1.27, 0.0, 0.02, -1.27])
    )


def published_forward(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """GS-8 of a one-block dense ResNet by its equations: weights on 127 steps of the largest; what convolutions read
    clipped to [0, 4] in steps of 1/64, but for the picture."""

    def weight(name: str) -> torch.Tensor:
        step = state[f"{name}.weight"].abs().max() / 127
        return torch.round(state[f"{name}.weight"] / step) * step

    def read(values: torch.Tensor) -> torch.Tensor:
        return torch.round(values.clamp(0, 4) * 64) / 64

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(
            values, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"], eps=1e-5
        )

    def conv(name: str, values: torch.Tensor, **geometry: int) -> torch.Tensor:
        return F.conv2d(values, weight(name), state[f"{name}.bias"], **geometry)

    def up(name: str, values: torch.Tensor) -> torch.Tensor:
        geometry = {"stride": 2, "padding": 1, "output_padding": 1}
        return F.conv_transpose2d(read(values), weight(name), state[f"{name}.bias"], **geometry)

    def around(values: torch.Tensor, side: int) -> torch.Tensor:
        return F.pad(values, (side,) * 4, mode="reflect")

    x = F.relu(norm("stem_norm", conv("stem", around(x, 3))))
    x = F.relu(norm("down1_norm", conv("down1", read(x), stride=2, padding=1)))
    x = F.relu(norm("down2_norm", conv("down2", read(x), stride=2, padding=1)))
    y = F.relu(norm("blocks.0.norm1", conv("blocks.0.conv1", read(around(x, 1)))))
    x = x + norm("blocks.0.norm2", conv("blocks.0.conv2", read(around(y, 1))))
    x = F.relu(norm("up1_norm", up("up1", x)))
    x = F.relu(norm("up2_norm", up("up2", x)))
    return torch.tanh(conv("head", read(around(x, 3))))


def test_published_form_leaves_the_picture_alone_behind_its_padding() -> None:
    """A clipped picture would lose everything darker than middle grey."""
    module, x = student(block="dense"), torch.rand(2, 3, 16, 16) * 2 - 1
    simulated = ImageOnly(simulate(module, x, "paper", []))
    with torch.no_grad():
        difference = (simulated(x) - published_forward(module.state_dict(), x)).abs().max()
    assert float(difference) == 0.0


def test_transposed_rows_and_back() -> None:
    layer = nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1, output_padding=1)
    each = QuantizedConvolution(layer, "litert_dynamic")
    assert is_doubling(layer) and each.phased
    parts = each.rows(layer.weight)
    assert [part.shape[1] for part in parts] == [3, 6, 6, 12]
    assert torch.equal(each.unrow(parts, layer.weight), layer.weight)


@pytest.mark.parametrize("norm", ["instance_affine", "instance", "batch"])
@pytest.mark.parametrize("block", ["dense", "separable"])
def test_simulation_without_rounding_is_the_student(
    norm: str, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every move of norms and biases that the simulation makes is exact; only rounding differs."""
    module, x = student(norm, block), torch.randn(2, 3, 16, 16)
    monkeypatch.setattr("edgegan.compress.slimming.quantizers.torch.round", lambda value: value)
    for scheme in (scheme_of(module), "onnxruntime"):
        simulated = simulate(module, x, scheme, [])  # type: ignore[arg-type]
        calibrate(simulated, x.split(1))
        assert torch.allclose(ImageOnly(simulated)(x), module(x), atol=1e-4)


def test_where_quantizers_stand() -> None:
    x = torch.randn(1, 3, 16, 16)
    dynamic = simulate(student(), x, "litert_dynamic", [])
    names = [n for n, m in dynamic.named_modules() if isinstance(m, QuantizedConvolution)]
    assert len(names) == 8 and not any("depthwise" in name for name in names)
    assert not list(ranges_of(dynamic))
    static = simulate(student("batch"), x, "litert_static", [])
    layers = [m for m in static.modules() if isinstance(m, QuantizedConvolution)]
    # 10 convolutions with a range each (the head's is before tanh), the input and the block's sum
    assert len(layers) == 10 and len(list(ranges_of(static))) == 12
    # 16x16: stem and head 602 thousand multiply-adds; at 4x4 down2 and a dense block 369 of 1,045 thousand
    trunk = simulate(student(block="dense"), x, "onnxruntime", [])
    inside = [n for n, m in trunk.named_modules() if isinstance(m, QuantizedConvolution)]
    assert len(inside) == 3 and all("blocks" in n or "down2" in n for n in inside)


@pytest.mark.parametrize("norm", ["instance_affine", "batch"])
def test_baked_weights_are_on_the_grid(norm: str) -> None:
    module, x = student(norm), torch.randn(1, 3, 16, 16)
    simulated = simulate(module, x, scheme_of(module), [])
    calibrate(simulated, [x])
    for each in simulated.modules():
        if isinstance(each, WeightQuantizer):
            each.factor.data.uniform_(-0.2, 0.2)
    trained = [weight.detach().clone() for weight in grid_of(simulated)]
    bake(simulated)
    again = simulate(module, x, scheme_of(module), [], learned=False)
    for own, other in zip(grid_of(again), trained, strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def grid_of(simulated: nn.Module) -> list[torch.Tensor]:
    """The quantised weights of every layer that has them."""
    layers = [m for m in simulated.modules() if isinstance(m, QuantizedConvolution)]
    return [layer.quantized()[0] for layer in layers]
