"""Random small generators, exported to both targets and compared with PyTorch: `python tests/support/fuzz_export.py`.

Every net is drawn from its seed: blocks, norms, paddings, ways up, odd sizes. Each must reach parity in fp32, or be
refused with the layer's name. All run in one process; a line of JSON a net goes to stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from edgegan.errors import ConfigError
from edgegan.export import to_onnx
from edgegan.export.locate import locate
from edgegan.export.rewrite import rewrite
from edgegan.export.signature import Boundary, Example, Signature, Sizes
from edgegan.export.targets import TARGETS
from edgegan.metrics.quality import psnr
from edgegan.models.transformer_net.network import TransformerGenerator, TransformerSpec
from edgegan.models.unet.network import UnetGenerator, UnetSpec
from edgegan.package import ImageIO
from edgegan.runtime.worker import open_session
from edgegan.tensors import from_artefact, to_artefact

PARITY_DB = 100.0
SMALL_DEVIATION = 0.02  # below it a net is nearly constant, and any conversion of it would pass


class Draw:
    """Draws layers; keeps the height and width they leave."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"fuzz-export:{seed}")

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        """A convolution that keeps the size up to its stride, padded in any of the ways people pad."""
        pad = kernel // 2
        way = self.chance.choice(["zeros", "reflect", "replicate", "circular", "layer", "same"])
        bias = self.chance.random() < 0.7
        if way == "layer" and pad:
            kinds = [nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d]
            return [
                self.chance.choice(kinds)(pad),
                nn.Conv2d(inputs, outputs, kernel, stride, bias=bias),
            ]
        if way == "same" and stride == 1:
            return [nn.Conv2d(inputs, outputs, kernel, padding="same", bias=bias)]
        mode = way if way in ("reflect", "replicate", "circular") and pad else "zeros"
        made = nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=bias, padding_mode=mode)
        return [spectral_norm(made) if self.chance.random() < 0.1 else made]

    def norm(self, channels: int) -> list[nn.Module]:
        """Any norm, or none."""
        groups = self.chance.choice([g for g in (1, 2, 4) if channels % g == 0])
        return self.chance.choice(
            [
                [],
                [nn.BatchNorm2d(channels)],
                [nn.BatchNorm2d(channels, track_running_stats=False)],
                [nn.InstanceNorm2d(channels)],
                [nn.InstanceNorm2d(channels, affine=True)],
                [nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)],
                [nn.GroupNorm(groups, channels)],
            ]
        )

    def activation(self, channels: int) -> list[nn.Module]:
        """Any activation, or none; sometimes dropout behind it."""
        kinds = [
            nn.ReLU(),
            nn.LeakyReLU(0.2),
            nn.PReLU(channels),
            nn.SiLU(),
            nn.GELU(),
            nn.ELU(),
            nn.ReLU6(),
            nn.Hardswish(),
            nn.Identity(),
        ]
        found: list[nn.Module] = [self.chance.choice(kinds)]
        return [*found, nn.Dropout(0.3)] if self.chance.random() < 0.2 else found

    def down(self, inputs: int, outputs: int) -> list[nn.Module]:
        """Half the height and width."""
        way = self.chance.choice(
            ["conv", "conv4", "pool", "max", "nearest", "bilinear", "unshuffle"]
        )
        if way == "conv":
            return [nn.Conv2d(inputs, outputs, 3, 2, 1)]
        if way == "conv4":
            return [nn.Conv2d(inputs, outputs, 4, 2, 1)]
        if way == "unshuffle":
            return [nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, outputs, 1)]
        ways: dict[str, nn.Module] = {
            "pool": nn.AvgPool2d(2),
            "max": nn.MaxPool2d(2),
            "nearest": nn.Upsample(scale_factor=0.5, mode="nearest"),
            "bilinear": nn.Upsample(scale_factor=0.5, mode="bilinear", align_corners=False),
        }
        return [ways[way], *self.conv(inputs, outputs, 3)]

    def up(self, inputs: int, outputs: int) -> list[nn.Module]:
        """Twice the height and width."""
        way = self.chance.choice(
            [
                "nearest",
                "nearest1",
                "bilinear",
                "corners",
                "k3",
                "k4",
                "k2",
                "k6",
                "shuffle",
                "depthwise",
            ]
        )
        if way in ("nearest", "nearest1"):
            kernel = 1 if way == "nearest1" else self.chance.choice([3, 5])
            return [nn.Upsample(scale_factor=2.0), *self.conv(inputs, outputs, kernel)]
        if way in ("bilinear", "corners"):
            resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=way == "corners")
            return [resize, *self.conv(inputs, outputs, 3)]
        if way == "shuffle":
            return [nn.Conv2d(inputs, 4 * outputs, 3, padding=1), nn.PixelShuffle(2)]
        if way == "depthwise":
            deconv = nn.ConvTranspose2d(inputs, inputs, 4, 2, 1, groups=inputs, bias=False)
            return [deconv, nn.Conv2d(inputs, outputs, 1)]
        kernel, padding, extra = {
            "k3": (3, 1, 1),
            "k4": (4, 1, 0),
            "k2": (2, 0, 0),
            "k6": (6, 2, 0),
        }[way]
        return [nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, extra)]


class Residual(nn.Module):
    """x + body(x), the sum written in several ways."""

    def __init__(self, body: nn.Module, way: str) -> None:
        super().__init__()
        self.body, self.way = body, way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "scaled":
            return x + self.body(x) * 0.5
        if self.way == "gated":
            return x * (1 + torch.tanh(self.body(x)))
        if self.way == "functional":
            return F.relu(
                torch.add(x, self.body(F.pad(x, (1, 1, 1, 1), mode="reflect"))[:, :, 1:-1, 1:-1])
            )
        return x + self.body(x)


class Skip(nn.Module):
    """A U-Net step: concatenates what goes around."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.inside(x)], dim=1)


class FourierNoise(nn.Module):
    """An operation no runtime has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.fft.fft2(x).abs() * 1e-3


class Switch(nn.Module):
    """Control flow that depends on a tensor's values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean() > 0 else -x


def draw_net(seed: int) -> tuple[nn.Module, tuple[int, int], bool]:
    """A net from an RGB picture to one, its height and width, and whether it holds something that must be refused."""
    draw = Draw(seed)
    chance = draw.chance
    halvings = chance.choice([0, 1, 1, 2])
    step = 2**halvings
    size = (step * chance.randint(8, 13), step * chance.randint(8, 15))
    width = chance.choice([4, 8, 12, 20])
    layers: list[nn.Module] = [
        *draw.conv(3, width, chance.choice([3, 5, 7])),
        *draw.norm(width),
        *draw.activation(width),
    ]
    for _ in range(halvings):
        after = chance.choice([width, 2 * width])
        layers += [*draw.down(width, after), *draw.norm(after), *draw.activation(after)]
        width = after
    for _ in range(chance.randint(0, 2)):
        inner = chance.choice([width, 8])
        body = [
            *draw.norm(width),
            *draw.conv(width, inner, 3),
            *draw.norm(inner),
            *draw.activation(inner),
        ]
        if chance.random() < 0.3:
            body += [nn.Conv2d(inner, inner, 3, padding=1, groups=inner)]
        if chance.random() < 0.25:
            layers.append(Skip(nn.Sequential(*body)))
            width += inner
            continue
        body += draw.conv(inner, width, chance.choice([1, 3]))
        way = chance.choice(["plain", "scaled", "gated", "functional"])
        layers.append(Residual(nn.Sequential(*body), way))
    refused = chance.random() < 0.06
    if refused:
        layers.append(chance.choice([FourierNoise(), Switch()]))
    for _ in range(halvings):
        after = chance.choice([width, max(4, width // 2)])
        layers += [*draw.up(width, after), *draw.norm(after), *draw.activation(after)]
        width = after
    layers += [
        *draw.conv(width, 3, chance.choice([1, 3, 7])),
        chance.choice([nn.Tanh(), nn.Sigmoid()]),
    ]
    torch.manual_seed(seed)
    net = nn.Sequential(*layers)
    settle(net, size)
    return net.eval(), size, refused


def settle(net: nn.Module, size: tuple[int, int]) -> None:
    """Weights and statistics as after some training: every layer's output moves, norms have scales that differ."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and "parametrizations" not in dict(
            layer.named_children()
        ):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        if (
            isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm))
            and layer.weight is not None
        ):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
    net.train()
    with torch.no_grad():
        for _ in range(10):
            net(pictures(2, size))


def pictures(count: int, size: tuple[int, int]) -> torch.Tensor:
    """Smooth random pictures in [-1, 1]."""
    coarse = torch.rand(count, 3, 5, 6) * 2 - 1
    return F.interpolate(coarse, size, mode="bicubic").clamp(-1, 1)


def try_target(
    net: nn.Module,
    x: torch.Tensor,
    size: tuple[int, int],
    target: str,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """What became of one conversion: {"psnr_db"} or {"refused"}."""
    signature = Signature().resolved(TARGETS[target].layout)
    takes = signature.input_info(ImageIO(), size)
    gives = signature.image_info("output", ImageIO(), size)
    try:
        with torch.no_grad():
            graph, _ = rewrite(net, x, target, without)
            expected = net(x[:1]).numpy()
    except ConfigError as error:
        return {"refused": str(error)}
    tensor = to_artefact(x[:1].numpy(), takes)
    boundaries = [(Boundary(graph, takes, gives), Example(torch.from_numpy(tensor), size))]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / f"net.{target}"
        try:
            if target == "onnx":
                to_onnx.convert_fp32(boundaries[0], path, Sizes(), simple=False)
            else:
                TARGETS[target].convert(boundaries, path, Sizes())
            runner = open_session(str(path), TARGETS[target].runtimes[0], 1)
        except Exception as error:
            culprit = locate(net, x, target, takes)
            return {"refused" if culprit else "error": str(culprit or error)}
        runner.set_input(tensor)
        runner.invoke()
        made = from_artefact(np.array(runner.output()), gives)
    if made.shape != expected.shape:
        return {"error": f"shape {made.shape}, not {expected.shape}"}
    return {"psnr_db": round(min(200.0, psnr(made, expected)), 1)}


def fuzz(seed: int) -> dict[str, Any]:
    """One net to both targets. `verdict`: equal, refused, or WRONG."""
    began = time.monotonic()
    net, size, refused = draw_net(seed)
    x = pictures(2, size)
    with torch.no_grad():
        deviation = float(net(x).std())
    found = {target: try_target(net, x, size, target) for target in ("tflite", "onnx")}
    good = all(each.get("psnr_db", 0) >= PARITY_DB for each in found.values())
    named = refused and any("refused" in each for each in found.values())
    verdict = "refused" if named else "equal" if good and not refused else "WRONG"
    if not refused and deviation < SMALL_DEVIATION:
        verdict = "WRONG"
    seconds = round(time.monotonic() - began, 1)
    return {
        "seed": seed,
        "verdict": verdict,
        "size": size,
        "deviation": round(deviation, 3),
        **found,
        "seconds": seconds,
    }


def families() -> dict[str, dict[str, Any]]:
    """Small nets of families whose layers no random net has, to TFLite."""
    small = {
        "unet": UnetGenerator(UnetSpec.from_ngf(4, 3)),
        "transformer_net": TransformerGenerator(
            TransformerSpec(stem=4, down=8, trunk=8, inner=(8,), up=(8, 4))
        ),
    }
    found = {}
    for name, net in small.items():
        settle(net, (32, 24))
        found[name] = try_target(net.eval(), pictures(2, (32, 24)), (32, 24), "tflite")
    return found


def silent_nearest() -> dict[str, Any]:
    """A nearest reduction as the converter alone makes it: how wrong, and whether the layer is found."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Upsample(scale_factor=0.5)).eval()
    x = pictures(2, (18, 18))
    takes = Signature().resolved("NHWC").input_info(ImageIO(), (18, 18))
    plain = try_target(net, x, (18, 18), "tflite", ["slice_nearest"])
    culprit = locate(net, x, "tflite", takes, ["slice_nearest"])
    ours = try_target(net, x, (18, 18), "tflite")
    return {"plain": plain, "ours": ours, "culprit": culprit and culprit.as_dict()}


def main() -> None:
    """Fuzzes a range of seeds; exit 3 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--cases", action="store_true", help="also the cases made by hand")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # converters talk on stdout
    wrong = 0
    with contextlib.redirect_stdout(sys.stderr):
        for seed in range(arguments.first, arguments.first + arguments.count):
            line = fuzz(seed)
            wrong += line["verdict"] == "WRONG"
            results.write(json.dumps(line) + "\n")
            results.flush()
        if arguments.cases:
            cases = {"families": families(), "silent_nearest": silent_nearest()}
            results.write(json.dumps(cases) + "\n")
    results.write(json.dumps({"nets": arguments.count, "wrong": wrong}) + "\n")
    results.flush()
    sys.exit(3 if wrong else 0)


if __name__ == "__main__":
    main()
