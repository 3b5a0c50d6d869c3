"""Public forms of the ResNet generator: any number of halvings, and antialiased ones with fixed filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgegan.channels.fold import extract_folded
from edgegan.channels.graph import trace_channels
from edgegan.errors import CheckpointError, ConfigError
from edgegan.metrics.complexity import measure
from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.packaging import import_to_package
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.zoo import load_generator


class Filter(nn.Module):
    """The fixed filter of a halving or doubling, a copy a channel, as public files hold it."""

    def __init__(self, channels: int, taps: list[float], scale: float) -> None:
        super().__init__()
        row = torch.tensor(taps)
        square = row[:, None] * row[None] / row.sum() ** 2 * scale
        self.register_buffer("filt", square[None, None].repeat(channels, 1, 1, 1))


class Halving(Filter):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=x.shape[1])


class Doubling(Filter):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        made = F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=x.shape[1])
        return made[:, :, 1:-1, 1:-1]


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        first = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        second = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*first, nn.ReLU(), *second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv_block(x)


def public(halvings: int, blurred: str, inputs: int = 3) -> nn.Module:
    """The public row of layers; `blurred` is "", "down", "up" or "down up"."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, 4, 7)]
    layers += [nn.InstanceNorm2d(4), nn.ReLU()]
    width = 4
    for _ in range(halvings):
        layers += [nn.Conv2d(width, 2 * width, 3, 1 if "down" in blurred else 2, 1)]
        width *= 2
        layers += [nn.InstanceNorm2d(width), nn.ReLU()]
        layers += [Halving(width, [1.0, 2.0, 1.0], 1)] if "down" in blurred else []
    layers += [Block(width), Block(width)]
    for _ in range(halvings):
        if "up" in blurred:
            layers += [Doubling(width, [1.0, 3.0, 3.0, 1.0], 4)]
            layers += [nn.Conv2d(width, width // 2, 3, 1, 1)]
        else:
            layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1)]
        width //= 2
        layers += [nn.InstanceNorm2d(width), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    torch.manual_seed(0)
    net = nn.Module()
    net.model = nn.Sequential(*layers)
    for value in net.parameters():
        nn.init.normal_(value, 0, 0.2)
    return net.eval()


FORMS = [(1, ""), (3, ""), (4, ""), (2, "down up"), (2, "down"), (2, "up"), (3, "down up")]


@pytest.mark.parametrize(("halvings", "blurred"), FORMS)
def test_import_is_exact_and_goes_back(halvings: int, blurred: str, tmp_path: Path) -> None:
    net = public(halvings, blurred)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth")
    spec = imported.spec
    assert isinstance(spec, ResnetSpec) and (spec.halvings, spec.stride) == (halvings, 2**halvings)
    assert (spec.halving == "blurred", spec.doubling == "blurred") == (
        "down" in blurred,
        "up" in blurred,
    )
    module = spec.build().eval()
    module.load_state_dict(imported.state)
    x = torch.rand(1, 3, 2 * spec.min_size, 3 * spec.min_size, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        made, wanted = module.double()(x), net.double().model(x)
    torch.testing.assert_close(made, wanted, atol=1e-10, rtol=0)
    net = net.float()
    back = public_state(imported)
    assert set(back) == set(net.state_dict())
    assert all(torch.equal(back[key], value) for key, value in net.state_dict().items())


def test_label_maps_as_many_channels(tmp_path: Path) -> None:
    """35 classes and a border, as pix2pixHD feeds them: a package of a net that takes 36 channels."""
    torch.save(public(4, "", 36).state_dict(), tmp_path / "net.pth")
    config = import_to_package(tmp_path / "net.pth", tmp_path / "package", size=(64, 96))
    assert config.input.channels == 36
    assert load_generator(tmp_path / "package")[1](torch.zeros(1, 36, 32, 48)).shape[2:] == (32, 48)


def spoilt(state: dict[str, torch.Tensor], what: str) -> dict[str, Any]:
    """A file of another filter, of a filter of another size, or without one of its layers."""
    state = {key: value.clone() for key, value in state.items()}
    if what == "other taps":
        state["model.7.filt"][0, 0, 0, 0] += 0.1
    elif what == "other size":
        state["model.7.filt"] = torch.full((8, 1, 4, 4), 1 / 16)
    else:
        state = {key: value for key, value in state.items() if not key.startswith(f"{what}.")}
    return state


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("other taps", "model.7.filt' is not the filter"),
        ("other size", "model.7.filt' is not the filter"),
        ("model.8", "missing key 'model.8.weight'"),
        ("model.12", "expected a row from model.12"),
        ("model.15", "missing key 'model.15.weight'"),
    ],
)
def test_a_file_that_is_not_whole_is_named(what: str, says: str, tmp_path: Path) -> None:
    torch.save(spoilt(public(2, "down up").state_dict(), what), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=says):
        import_checkpoint(tmp_path / "net.pth")


def test_costs_of_a_blurred_halving() -> None:
    """Its convolution works at the size before the halving, and a doubling's at the size after it."""
    strided, blurred = (
        measure(ResnetSpec.from_ngf(4, 1, 1, **form).build(), torch.zeros(1, 3, 16, 16))
        for form in ({}, {"halving": "blurred", "doubling": "blurred"})
    )
    down, up = 4 * 8 * 9 * 8 * 8, 8 * 4 * 9 * 8 * 8
    assert blurred.macs - strided.macs == 3 * down + 3 * up


def test_a_student_keeps_the_form_of_its_teacher() -> None:
    teacher = ResnetSpec.from_ngf(16, 3, 4, halving="blurred", doubling="blurred", norm="batch")
    student = teacher.scaled(0.5, 8, "separable", "instance_affine")
    assert student.between == (32, 64) and student.up == (64, 32, 16, 8)
    assert (student.halving, student.doubling) == ("blurred", "blurred")
    with pytest.raises(ConfigError, match="two halvings"):
        student.to_config()


def test_old_specs_are_two_strided_halvings() -> None:
    spec = ResnetSpec.model_validate(
        {"stem": 4, "down": 8, "trunk": 16, "inner": [16], "up": [8, 4]}
    )
    assert (spec.between, spec.halving, spec.doubling) == ((), "strided", "transposed")
    with pytest.raises(ValueError, match="between needs 1"):
        ResnetSpec.model_validate({"up": [16, 8, 4]})


def test_constants_pass_a_blur() -> None:
    """What pruned channels in front of a blur said is known behind it: one channel carries it, exactly."""
    spec = ResnetSpec.from_ngf(6, 1, halving="blurred", doubling="blurred", norm="batch")
    module = spec.build().eval()
    torch.manual_seed(0)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 0.5)
    with torch.no_grad():
        module.down1_norm.weight[:3] = 0  # type: ignore[union-attr, index]
    x = torch.randn(1, 3, 16, 16)
    graph = trace_channels(module, x)
    folded = extract_folded(module, graph, {"down1": torch.arange(3, 12)}, border="carrier")
    assert [(fold.layer, fold.kind) for fold in folded.folds] == [("down2", "carrier")]
    torch.testing.assert_close(folded.module(x), module(x), atol=1e-5, rtol=0)


def test_a_strided_student_is_tapped_where_its_blurred_teacher_is() -> None:
    shapes = []
    for form in ({}, {"halving": "blurred", "doubling": "blurred"}):
        module = ResnetSpec.from_ngf(4, 3, 3, **form).build().eval()
        seen: dict[str, torch.Size] = {}
        for tap in module.taps():
            module.get_submodule(tap).register_forward_hook(
                lambda _m, _x, y, tap=tap, seen=seen: seen.update({tap: y.shape})
            )
        module(torch.zeros(1, 3, 32, 32))
        shapes.append(seen)
    assert shapes[0] == shapes[1] and shapes[0]["down2_relu"] == (1, 32, 4, 4)
