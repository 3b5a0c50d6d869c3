"""What weights do not tell, and which part of a training file is the generator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgegan.errors import CheckpointError, ConfigError, ParityError
from edgegan.models.origins import read_origins
from edgegan.models.packaging import Stated, import_to_package
from edgegan.models.readings import Reading
from edgegan.models.zoo import load_generator

Norms = Callable[[int], nn.Module]
PADS = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}
NORMS: dict[str, Norms] = {
    "instance": nn.InstanceNorm2d,
    "tracked": partial(nn.InstanceNorm2d, track_running_stats=True),
    "tracked affine": partial(nn.InstanceNorm2d, affine=True, track_running_stats=True),
    "batch": nn.BatchNorm2d,
    "none": nn.Identity,
}


class Block(nn.Module):
    """A residual block in the public layout; zero padding is the convolutions' own."""

    def __init__(self, width: int, norm: Norms, padding: str, bias: bool, name: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [PADS[padding](1)] if padding in PADS else []
            layers += [nn.Conv2d(width, width, 3, 1, int(padding == "zero"), bias=bias)]
            layers += [norm(width)] if last else [norm(width), nn.ReLU()]
        self.name = name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.get_submodule(self.name)(x)


class PublicResnet(nn.Module):
    """The public ResNet generator, 2 blocks, as its keys and its arithmetic are known; random statistics too."""

    def __init__(self, kind: str, padding: str = "reflect", name: str = "conv_block") -> None:
        super().__init__()
        norm, bias = NORMS[kind], kind in ("instance", "tracked", "tracked affine")

        def down(i: int, o: int) -> list[nn.Module]:
            return [nn.Conv2d(i, o, 3, 2, 1, bias=bias), norm(o), nn.ReLU()]

        def up(i: int, o: int) -> list[nn.Module]:
            return [nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=bias), norm(o), nn.ReLU()]

        stem = [nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7, bias=bias), norm(4), nn.ReLU()]
        blocks = [Block(16, norm, padding, bias, name) for _ in range(2)]
        head = [nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(
            *stem, *down(4, 8), *down(8, 16), *blocks, *up(16, 8), *up(8, 4), *head
        )
        torch.manual_seed(0)
        for value in self.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.2, 0.6) if value.dim() == 1 else value.normal_(0, 0.15)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def imported(folder: Path, state: Any, **stated: Any) -> tuple[nn.Module, list[str]]:
    """The generator that a file becomes, and what import says of it."""
    torch.save(state, folder / "weights.pth")
    config = import_to_package(
        folder / "weights.pth",
        folder / "package",
        Stated(**stated),
        size=(32, 32),
        overwrite=True,
    )
    return load_generator(folder / "package")[1], list(config.source["changes"])


def difference(net: nn.Module, made: nn.Module) -> float:
    x = torch.rand(1, 3, 40, 48) * 2 - 1
    with torch.no_grad():
        return float((net(x) - made.eval()(x)).abs().max())


@pytest.mark.parametrize("name", ["conv_block", "block", "model"])
@pytest.mark.parametrize(
    ("kind", "padding"),
    [("instance", "zero"), ("batch", "zero"), ("none", "zero"), ("none", "reflect")],
)
def test_forms_that_the_keys_tell(kind: str, padding: str, name: str, tmp_path: Path) -> None:
    net = PublicResnet(kind, padding, name)
    made, _ = imported(tmp_path, net.state_dict())
    assert difference(net, made) < 1e-5


def test_padding_is_assumed_aloud_or_stated(tmp_path: Path) -> None:
    net = PublicResnet("instance", "replicate")
    made, notes = imported(tmp_path, net.state_dict())
    assert any("--padding" in note for note in notes)
    assert difference(net, made) > 1e-3
    made, _ = imported(tmp_path, net.state_dict(), reading=Reading(padding="replicate"))
    assert difference(net, made) < 1e-5
    with pytest.raises(ConfigError, match="choose from reflect, replicate, zero"):
        imported(tmp_path, net.state_dict(), reading=Reading(padding="mirror"))


@pytest.mark.parametrize("kind", ["tracked", "tracked affine"])
def test_tracked_statistics_of_instance_norm(kind: str, tmp_path: Path) -> None:
    """The net itself uses them in evaluation; the public loader drops them."""
    net = PublicResnet(kind)
    made, _ = imported(tmp_path, net.state_dict(), reading=Reading(statistics="saved"))
    assert difference(net, made) < 1e-5


def test_batch_norm_with_the_pictures_own_statistics(tmp_path: Path) -> None:
    net = PublicResnet("batch")
    state = {key: value.clone() for key, value in net.state_dict().items()}
    made, _ = imported(tmp_path, state, reading=Reading(statistics="picture"))
    assert difference(net.train(), made) < 1e-4


CONTAINERS: dict[str, Callable[[Any, Any], Any]] = {
    "average": lambda good, other: {"params": other, "params_ema": good},
    "average of G": lambda good, other: {"G": other, "G_ema": good},
    "a number of numpy": lambda good, _: {
        "epoch": 3,
        "best_loss": np.float64(1.5),
        "state_dict": good,
    },
    "the whole model": lambda good, _: {
        **{f"netG.{key}": value for key, value in good.items()},
        "netD.model.0.weight": torch.zeros(4, 3, 4, 4),
    },
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_generator_is_found(name: str, tmp_path: Path) -> None:
    net = PublicResnet("instance")
    good = net.state_dict()
    other = {key: torch.zeros_like(value) for key, value in good.items()}
    made, _ = imported(tmp_path, CONTAINERS[name](good, other))
    assert difference(net, made) < 1e-5


def test_of_two_generators_one_is_chosen_by_name(tmp_path: Path) -> None:
    net = PublicResnet("instance")
    other = {key: torch.zeros_like(value) for key, value in net.state_dict().items()}
    both = {"genA2B": other, "genB2A": net.state_dict()}
    with pytest.raises(CheckpointError, match=r"genA2B, genB2A.*--part gen"):
        imported(tmp_path, both)
    made, _ = imported(tmp_path, both, part="genB2A")
    assert difference(net, made) < 1e-5
    with pytest.raises(CheckpointError, match="no part 'genC'"):
        imported(tmp_path, both, part="genC")


@pytest.mark.parametrize(
    ("content", "suffix"), [(b"\x08\x07", ".onnx"), (b"\0\0\0\0TFL3", ".tflite")]
)
def test_finished_networks_are_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content + bytes(64))
    with pytest.raises(CheckpointError, match=r"edgegan lint and edgegan bench"):
        import_to_package(path, tmp_path / "out", Stated())


def public() -> nn.Module:
    """A source that `--check` compares with."""
    return PublicResnet("instance")


def public_replicate() -> nn.Module:
    """One that pads otherwise, of the same keys."""
    return PublicResnet("instance", "replicate")


def test_a_known_family_is_compared_with_its_source_and_keeps_its_keys(tmp_path: Path) -> None:
    torch.save(
        {"netG": {f"module.{k}": v for k, v in public().state_dict().items()}}, tmp_path / "w.pth"
    )
    size = (16, 16)
    config = import_to_package(
        tmp_path / "w.pth", tmp_path / "p", check=f"{__name__}:public", size=size
    )
    assert "compared with" in config.source["changes"][-1]
    found = read_origins(tmp_path / "p", config)
    assert found is not None and {each.key for each in found.values()} == set(public().state_dict())
    assert not any(each.changed for each in found.values())
    with pytest.raises(ParityError, match="--padding"):
        import_to_package(
            tmp_path / "w.pth", tmp_path / "q", check=f"{__name__}:public_replicate", size=size
        )
    assert not (tmp_path / "q").exists()
