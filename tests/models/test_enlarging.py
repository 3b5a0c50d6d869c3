"""Super-resolution nets in their public forms: read exactly, written back, pictures of the size they make."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.commands import edgegan
from torch import nn

from edgegan.data.images import read_image, to_pixels, write_image
from edgegan.models.checkpoints import import_checkpoint
from edgegan.models.families import compact, rrdbnet, srgan

DATA = Path(os.environ.get("EDGEGAN_DATA", "../shared/data"))


class Names(nn.Module):
    """Layers under public names, with dots."""

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.layers = layers
        for name, layer in layers.items():
            self.add_module(name.replace(".", "/"), layer)

    def public(self) -> dict[str, torch.Tensor]:
        return {key.replace("/", "."): value for key, value in self.state_dict().items()}


def conv(before: int, after: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=bias)


class Srgan(Names):
    """In [-1, 1]."""

    def __init__(self) -> None:
        self.prelus = iter(range(100))
        layers: dict[str, nn.Module] = {"neck.0": conv(3, 8), "neck.1": nn.PReLU()}
        for index in range(2):
            layers[f"stem.{index}.conv1"] = conv(8, 6 + index, bias=False)
            layers[f"stem.{index}.relu1"] = nn.PReLU(init=0.3)
            layers[f"stem.{index}.conv2"] = conv(6 + index, 8, bias=False)
        layers["bottleneck.0"] = conv(8, 8, bias=False)
        for index, (before, after) in enumerate(((8, 5), (5, 7))):
            layers[f"upsampling.{index}.conv"] = conv(before, after * 4)
            layers[f"upsampling.{index}.relu"] = nn.PReLU(init=0.1)
        super().__init__({**layers, "head.0": conv(7, 3)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        at = self.layers
        neck = at["neck.1"](at["neck.0"](x))
        y = neck
        for index in range(2):
            inner = at[f"stem.{index}.relu1"](F.instance_norm(at[f"stem.{index}.conv1"](y)))
            y = y + F.instance_norm(at[f"stem.{index}.conv2"](inner))
        y = neck + F.instance_norm(at["bottleneck.0"](y))
        for index in range(2):
            y = F.pixel_shuffle(at[f"upsampling.{index}.conv"](y), 2)
            y = at[f"upsampling.{index}.relu"](y)
        return torch.tanh(at["head.0"](y))


class Compact(Names):
    """In [0, 1]."""

    def __init__(self, upscale: int) -> None:
        self.upscale = upscale
        super().__init__(
            {
                "body.0": conv(3, 6),
                "body.1": nn.PReLU(6, init=0.1),
                "body.2": conv(6, 8),
                "body.3": nn.PReLU(8, init=0.4),
                "body.4": conv(8, 3 * upscale**2),
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self.layers.values():
            y = layer(y)
        return F.pixel_shuffle(y, self.upscale) + F.interpolate(x, scale_factor=self.upscale)


class Rrdb(Names):
    """In [0, 1], in one of three namings."""

    def __init__(self, form: str, unshuffle: int) -> None:
        self.unshuffle = unshuffle
        layers: dict[str, nn.Module] = {}
        block = {
            "new": "body.{}.rdb{}.conv{}",
            "old": "RRDB_trunk.{}.RDB{}.conv{}",
            "first": "model.1.sub.{}.RDB{}.conv{}.0",
        }[form]
        ends = {
            "new": ["conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"],
            "old": ["conv_first", "trunk_conv", "upconv1", "upconv2", "HRconv", "conv_last"],
            "first": ["model.0", "model.1.sub.2", "model.3", "model.6", "model.8", "model.10"],
        }[form]
        self.blocks = [
            [[block.format(i, j, k) for k in range(1, 6)] for j in range(1, 4)] for i in range(2)
        ]
        for dense in (each for rrdb in self.blocks for each in rrdb):
            for index, name in enumerate(dense):
                layers[name] = conv(8 + 4 * index, 8 if index == 4 else 4)
        shapes = [(3 * unshuffle**2, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8, 3)]
        layers |= {name: conv(*shape) for name, shape in zip(ends, shapes, strict=True)}
        self.ends = ends
        super().__init__(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        at, (first, body, up1, up2, refine, last) = self.layers, self.ends
        entry = at[first](F.pixel_unshuffle(x, self.unshuffle))
        y = entry
        for rrdb in self.blocks:
            inner = y
            for dense in rrdb:
                parts = [inner]
                for name in dense[:4]:
                    parts.append(F.leaky_relu(at[name](torch.cat(parts, 1)), 0.2))
                inner = inner + 0.2 * at[dense[4]](torch.cat(parts, 1))
            y = y + 0.2 * inner
        y = entry + at[body](y)
        for name in (up1, up2):
            y = F.leaky_relu(at[name](F.interpolate(y, scale_factor=2)), 0.2)
        return at[last](F.leaky_relu(at[refine](y), 0.2))


CASES: dict[str, tuple[Any, Any, bool, int]] = {
    "srgan": (Srgan, srgan, False, 4),
    "compact x4": (lambda: Compact(4), compact, True, 4),
    "compact x1": (lambda: Compact(1), compact, True, 1),
    "rrdb": (lambda: Rrdb("new", 1), rrdbnet, True, 4),
    "rrdb x2": (lambda: Rrdb("new", 2), rrdbnet, True, 2),
    "rrdb x1, old": (lambda: Rrdb("old", 4), rrdbnet, True, 1),
    "rrdb, first names": (lambda: Rrdb("first", 1), rrdbnet, True, 4),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"params_ema": state}])
def test_public_form_is_read_exactly_and_written_back(case: str, wrap: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, family, unit, ratio = CASES[case]
    net = make().eval()
    path = tmp_path / "w.pth"
    torch.save(wrap(net.public()), path)
    imported = import_checkpoint(path)
    assert imported.family == family.name and imported.spec.ratio == ratio
    module = imported.spec.build().eval()
    module.load_state_dict(imported.state)
    x = torch.rand(1, 3, 12, 16) * 2 - 1
    with torch.no_grad():
        expected = net((x + 1) / 2) * 2 - 1 if unit else net(x)
        assert torch.allclose(module(x), expected, atol=1e-5)
    back = family.keymap.write(imported)
    assert back.keys() == net.public().keys()
    assert all(torch.allclose(back[key], value, atol=1e-7) for key, value in net.public().items())


def test_a_net_that_is_no_square_is_refused_by_key(tmp_path: Path) -> None:
    state = Compact(2).public()
    state["body.4.weight"], state["body.4.bias"] = torch.zeros(15, 8, 3, 3), torch.zeros(15)
    torch.save(state, tmp_path / "w.pth")
    done = edgegan("import", tmp_path / "w.pth", "-o", tmp_path / "p", check=False)
    assert done.returncode == 2 and "body.4.weight" in done.stderr


@pytest.mark.skipif(
    not (DATA / "weights/fastsrgan_x4.pt").is_file(),
    reason="the weights of Fast-SRGAN are not here",
)
def test_fast_srgan_enlarges_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "small.png"
    y, x = np.mgrid[:40, :48]
    values = np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 6)]).astype(np.float32)
    write_image(picture, to_pixels(values))
    weights = DATA / "weights/fastsrgan_x4.pt"
    edgegan("import", weights, "-o", tmp_path / "p", "--size", "48x40")
    edgegan("run", tmp_path / "p", picture, "-o", tmp_path / "out")
    made = read_image(tmp_path / "out/small.png")
    assert made.shape == (160, 192, 3)
    small = read_image(picture).astype(np.float64)
    again = made.reshape(40, 4, 48, 4, 3).mean((1, 3))
    error = np.mean((again - small)[4:-4, 4:-4] ** 2)
    assert 10 * math.log10(255**2 / error) > 25
