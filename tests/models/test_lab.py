"""Colourisation from lightness to a and b: RGB outside, by CIE's numbers; other channels are said at import."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.written_out import random_like

from edgegan.channels.graph import trace_channels
from edgegan.errors import ConfigError
from edgegan.export.rewrite import rewrite
from edgegan.models.checkpoints import Imported, import_checkpoint, public_state
from edgegan.models.lab import lightness, to_rgb
from edgegan.models.readings import Reading
from edgegan.models.resnet import ResnetSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec

KNOWN = {  # sRGB to L, a, b with D65 (Lindbloom's calculator)
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 255): (100.0, 0.0, 0.0),
    (10, 10, 10): (2.74, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("rgb", "lab"), KNOWN.items())
def test_known_colours(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    x = torch.tensor(rgb, dtype=torch.float32).reshape(1, 3, 1, 1) / 127.5 - 1
    light = lightness(x)
    assert abs((float(light) + 1) * 50 - lab[0]) < 0.02
    ab = torch.tensor(lab[1:]).reshape(1, 2, 1, 1) / 110
    assert (to_rgb(light, ab) - x).abs().max() < 0.01


def test_colours_outside_are_cut_and_can_be_trained() -> None:
    ab = (torch.rand(1, 2, 4, 4) * 2 - 1).requires_grad_()
    made = to_rgb(torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4), ab)
    assert made.min() >= -1 and made.max() <= 1
    made.sum().backward()
    assert ab.grad is not None and torch.isfinite(ab.grad).all()


@pytest.mark.parametrize(
    "spec",
    [
        UnetSpec.from_ngf(4, 3, in_channels=1, out_channels=2),
        ResnetSpec.from_ngf(4, 1, in_channels=1, out_channels=2),
    ],
)
def test_a_colouring_net_takes_and_makes_rgb(spec: Spec, tmp_path: Path) -> None:
    net = spec.build().eval()
    net.load_state_dict(random_like(net.state_dict()))
    state = public_state(
        Imported(type(spec).__name__.removesuffix("Spec").lower(), spec, net.state_dict())
    )
    torch.save(state, tmp_path / "latest_net_G.pth")
    said = " ".join(import_checkpoint(tmp_path / "latest_net_G.pth").changes)
    assert "it makes 2 channels, which are no picture (--colour lab" in said
    imported = import_checkpoint(tmp_path / "latest_net_G.pth", reading=Reading(colour="lab"))
    assert imported.spec.takes.channels == imported.spec.gives.channels == 3
    module = imported.spec.build().eval()
    module.load_state_dict(imported.state)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        light = lightness(x)
        torch.testing.assert_close(module(x), to_rgb(light, net(light)))
    assert set(public_state(imported)) == set(state)
    imported.spec.plan(trace_channels(module, x))
    student = imported.spec.scaled(0.5, 4, "dense", "batch").build().eval()
    assert student(x).shape == x.shape


def test_exporters_keep_what_it_computes() -> None:
    """Comparisons of pixels have no range that a rewrite could use."""
    torch.manual_seed(0)
    module = UnetSpec.from_ngf(4, 3, colour="lab").build().eval()
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    for target in ("onnx", "tflite"):
        graph, _ = rewrite(module, x, target)
        with torch.no_grad():
            torch.testing.assert_close(graph(x), module(x), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("channels", "colour"), [((3, 3), "lab"), ((1, 2), "bgr")])
def test_other_nets_are_refused(channels: tuple[int, int], colour: str, tmp_path: Path) -> None:
    spec = UnetSpec.from_ngf(4, 3, in_channels=channels[0], out_channels=channels[1])
    state = public_state(Imported("unet", spec, spec.build().state_dict()))
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=f"--colour {colour}: .* {channels[0]} channels in"):
        import_checkpoint(tmp_path / "w.pth", reading=Reading(colour=colour))


@pytest.mark.parametrize("channels", [(4, 3), (6, 3), (3, 4), (3, 2)])
def test_channels_that_pictures_do_not_have_are_said(
    channels: tuple[int, int], tmp_path: Path
) -> None:
    spec = ResnetSpec.from_ngf(4, 1, in_channels=channels[0], out_channels=channels[1])
    state = public_state(Imported("resnet", spec, spec.build().state_dict()))
    torch.save(state, tmp_path / "w.pth")
    said = import_checkpoint(tmp_path / "w.pth").changes[-1]
    assert ("takes" if channels[0] != 3 else "makes") in said and "channels" in said
