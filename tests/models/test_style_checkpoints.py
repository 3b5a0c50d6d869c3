"""Checkpoints of the style and noise generators: layers written out here, real weights where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.written_out import State, assert_back, conv, ours, random_like
from torch.nn import functional as F

STYLES = ["candy", "mosaic"]


def evaluate_cartoon(state: State, x: torch.Tensor) -> torch.Tensor:
    """CartoonGAN in its own BGR."""

    def norm(key: str, x: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(
            x, weight=state[f"{key}.scale"], bias=state[f"{key}.shift"], eps=1e-9
        )

    def up(key: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = state[f"{key}_1.weight"], state[f"{key}_1.bias"]
        x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
        return conv(state, f"{key}_2", x, padding=1)

    x = F.relu(norm("in01_1", conv(state, "conv01_1", x, pad=3)))
    for stage in ("02", "03"):
        x = conv(state, f"conv{stage}_1", x, stride=2, padding=1)
        x = F.relu(norm(f"in{stage}_1", conv(state, f"conv{stage}_2", x, padding=1)))
    for block in range(4, 12):
        y = F.relu(norm(f"in{block:02d}_1", conv(state, f"conv{block:02d}_1", x, pad=1)))
        x = x + norm(f"in{block:02d}_2", conv(state, f"conv{block:02d}_2", y, pad=1))
    x = F.relu(norm("in12_1", up("deconv01", x)))
    x = F.relu(norm("in13_1", up("deconv02", x)))
    return torch.tanh(conv(state, "deconv03_1", x, pad=3))


def test_cartoon_gan_hayao(data_folder: Path) -> None:
    path = data_folder / "weights" / "cartoongan_hayao_fp16.pth"
    stored = torch.load(path, weights_only=True)
    state = {key: value.float() for key, value in stored.items()}
    x = torch.rand(1, 3, 32, 48) * 2 - 1
    output, back = ours(path, x)
    with torch.no_grad():
        direct = evaluate_cartoon(state, x.flip(1)).flip(1)
    torch.testing.assert_close(output, direct, atol=1e-5, rtol=0)
    assert_back(back, state)


def evaluate_transformer(state: State, x: torch.Tensor) -> torch.Tensor:
    """The net of pytorch/examples: values 0..255 in and out."""

    def norm(key: str, x: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(x, weight=state[f"{key}.weight"], bias=state[f"{key}.bias"])

    def layer(key: str, x: torch.Tensor, **other: int) -> torch.Tensor:
        return conv(
            state, f"{key}.conv2d", x, pad=state[f"{key}.conv2d.weight"].shape[2] // 2, **other
        )

    x = F.relu(norm("in1", layer("conv1", x)))
    x = F.relu(norm("in2", layer("conv2", x, stride=2)))
    x = F.relu(norm("in3", layer("conv3", x, stride=2)))
    for block in range(1, 6):
        y = F.relu(norm(f"res{block}.in1", layer(f"res{block}.conv1", x)))
        x = x + norm(f"res{block}.in2", layer(f"res{block}.conv2", y))
    x = F.relu(norm("in4", layer("deconv1", F.interpolate(x, scale_factor=2))))
    x = F.relu(norm("in5", layer("deconv2", F.interpolate(x, scale_factor=2))))
    return layer("deconv3", x)


@pytest.mark.parametrize("style", STYLES)
def test_transformer_net(style: str, data_folder: Path, tmp_path: Path) -> None:
    """The real weights, with the running statistics that old files carry."""
    stored = torch.load(
        data_folder / "weights" / f"fast_neural_style_{style}_fp16.pth", weights_only=True
    )
    state = {key: value.float() for key, value in stored.items()}
    old = {**state, "in1.running_mean": torch.zeros(32), "in1.running_var": torch.ones(32)}
    torch.save(old, tmp_path / "style.pth")
    x = torch.randint(0, 256, (1, 3, 32, 40)).float()
    output, back = ours(tmp_path / "style.pth", x / 127.5 - 1)
    with torch.no_grad():
        direct = evaluate_transformer(state, x)
    torch.testing.assert_close(output, direct / 127.5 - 1, atol=1e-5, rtol=0)
    assert_back(back, state)


def anime_state() -> State:
    """Keys and shapes of the public AnimeGANv2 file, at a quarter of its widths."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(key: str, out: int, before: int, kernel: int, *, bias: bool = False) -> None:
        shapes[f"{key}.1.weight"] = (out, before, kernel, kernel)
        if bias:
            shapes[f"{key}.1.bias"] = (out,)
        shapes[f"{key}.2.weight"] = shapes[f"{key}.2.bias"] = (out,)

    layer("block_a.0", 8, 3, 7)
    layer("block_a.1", 16, 8, 3)
    layer("block_a.2", 16, 16, 3)
    layer("block_b.0", 32, 16, 3)
    layer("block_b.1", 32, 32, 3)
    layer("block_c.0", 32, 32, 3)
    for block, before, wide in ((1, 32, 64), (2, 64, 128), (3, 64, 128), (4, 64, 128)):
        key = f"block_c.{block}.layers"
        layer(f"{key}.0", wide, before, 1)
        layer(f"{key}.1", wide, 1, 3, bias=True)
        shapes[f"{key}.2.weight"] = (64, wide, 1, 1)
        shapes[f"{key}.3.weight"] = shapes[f"{key}.3.bias"] = (64,)
    layer("block_c.5", 32, 64, 3)
    layer("block_d.0", 32, 32, 3)
    layer("block_d.1", 32, 32, 3)
    layer("block_e.0", 16, 32, 3)
    layer("block_e.1", 16, 16, 3)
    layer("block_e.2", 8, 16, 7)
    shapes["out_layer.0.weight"] = (3, 8, 1, 1)
    return random_like({key: torch.zeros(shape) for key, shape in shapes.items()})


def evaluate_anime(state: State, x: torch.Tensor) -> torch.Tensor:
    """AnimeGANv2: padding, convolution, one norm over the whole map, LeakyReLU 0.2."""

    def norm(key: str, x: torch.Tensor) -> torch.Tensor:
        return F.group_norm(x, 1, state[f"{key}.weight"], state[f"{key}.bias"])

    def layer(key: str, x: torch.Tensor, stride: int = 1, groups: int = 1) -> torch.Tensor:
        side = state[f"{key}.1.weight"].shape[2] // 2
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (side,) * 4, "reflect")
        x = conv(state, f"{key}.1", x, stride=stride, groups=groups)
        return F.leaky_relu(norm(f"{key}.2", x), 0.2)

    def double(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)

    x = layer("block_a.2", layer("block_a.1", layer("block_a.0", x), stride=2))
    x = layer("block_c.0", layer("block_b.1", layer("block_b.0", x, stride=2)))
    for block in range(1, 5):
        key = f"block_c.{block}.layers"
        y = layer(f"{key}.0", x)
        y = layer(f"{key}.1", y, groups=y.shape[1])
        y = norm(f"{key}.3", conv(state, f"{key}.2", y))
        x = x + y if x.shape == y.shape else y
    x = double(layer("block_c.5", x))
    x = double(layer("block_d.1", layer("block_d.0", x)))
    x = layer("block_e.2", layer("block_e.1", layer("block_e.0", x)))
    return torch.tanh(conv(state, "out_layer.0", x))


def test_animegan(tmp_path: Path) -> None:
    state = anime_state()
    torch.save(state, tmp_path / "anime.pt")
    x = torch.rand(1, 3, 32, 24) * 2 - 1
    output, back = ours(tmp_path / "anime.pt", x)
    torch.testing.assert_close(output, evaluate_anime(state, x), atol=1e-5, rtol=0)
    assert_back(back, state)


def sngan_state() -> State:
    """Keys and shapes of the public SNGAN file with 8 channels and 16 noise values."""
    state = {"l1.weight": torch.zeros(4 * 4 * 8, 16), "l1.bias": torch.zeros(128)}
    for block in (2, 3, 4):
        for name, side in (("c1", 3), ("c2", 3), ("c_sc", 1)):
            state[f"block{block}.{name}.weight"] = torch.zeros(8, 8, side, side)
            state[f"block{block}.{name}.bias"] = torch.zeros(8)
    state |= {"c5.weight": torch.zeros(3, 8, 3, 3), "c5.bias": torch.zeros(3)}
    for name in (
        "block2.b1",
        "block2.b2",
        "block3.b1",
        "block3.b2",
        "block4.b1",
        "block4.b2",
        "b5",
    ):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{leaf}"] = torch.zeros(8)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return random_like(state)


def evaluate_sngan(state: State, z: torch.Tensor) -> torch.Tensor:
    """Linear, three doubling blocks with a 1x1 shortcut, BatchNorm, ReLU, convolution, tanh."""

    def norm_relu(key: str, x: torch.Tensor) -> torch.Tensor:
        values = [
            state[f"{key}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
        ]
        return F.relu(F.batch_norm(x, *values))

    x = F.linear(z, state["l1.weight"], state["l1.bias"]).view(-1, 8, 4, 4)
    for block in ("block2", "block3", "block4"):
        y = F.interpolate(norm_relu(f"{block}.b1", x), scale_factor=2)
        y = conv(state, f"{block}.c1", y, padding=1)
        y = conv(state, f"{block}.c2", norm_relu(f"{block}.b2", y), padding=1)
        x = y + conv(state, f"{block}.c_sc", F.interpolate(x, scale_factor=2))
    return torch.tanh(conv(state, "c5", norm_relu("b5", x), padding=1))


def test_sngan(tmp_path: Path) -> None:
    state = sngan_state()
    torch.save({"gen_state_dict": state, "epoch": 1}, tmp_path / "sngan.pth")
    z = torch.randn(2, 16)
    output, back = ours(tmp_path / "sngan.pth", z)
    torch.testing.assert_close(output, evaluate_sngan(state, z), atol=1e-5, rtol=0)
    assert_back(back, state)
