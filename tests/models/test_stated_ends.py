"""How a generator ends and doubles where the weights do not tell: assumed aloud, and changed by an option."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgegan.errors import ConfigError
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.checkpoints import Imported, import_checkpoint, public_state
from edgegan.models.compact.network import CompactSpec
from edgegan.models.readings import Reading
from edgegan.models.resnet import ResnetSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.whitebox.network import WhiteboxSpec

SPECS: dict[str, Spec] = {
    "resnet": ResnetSpec.from_ngf(4, 1),
    "unet": UnetSpec.from_ngf(4, 3),
    "compact": CompactSpec(convs=(4, 4), upscale=1, activation="relu"),
    "animegan": AnimeSpec()
    .scaled(1 / 16, 4, "dense", "batch")
    .model_copy(update={"norm": "layer"}),
    "whitebox": WhiteboxSpec().scaled(1 / 8, 4, "dense", "batch"),
}


def read(family: str, path: Path, reading: Reading) -> tuple[nn.Module, list[str]]:
    """A generator of this family with random weights, from its public file."""
    torch.manual_seed(0)
    state = SPECS[family].build().state_dict()
    torch.save(public_state(Imported(family, SPECS[family], state)), path)
    imported = import_checkpoint(path, reading=reading)
    module = imported.spec.build().eval()
    module.load_state_dict(imported.state)
    return module, imported.changes


@pytest.mark.parametrize(
    ("family", "reading", "option"),
    [
        ("resnet", Reading(activation="clamp"), "--activation clamp"),
        ("unet", Reading(activation="clamp"), "--activation clamp"),
        ("compact", Reading(activation="leaky_relu"), "--activation leaky_relu"),
        ("animegan", Reading(corners="centred"), "--corners centred"),
        ("whitebox", Reading(corners="aligned"), "--corners aligned"),
    ],
)
def test_an_assumption_names_the_option_that_changes_it(
    family: str, reading: Reading, option: str, tmp_path: Path
) -> None:
    usual, said = read(family, tmp_path / "w.pth", Reading())
    assert any(option in line for line in said)
    other, said = read(family, tmp_path / "w.pth", reading)
    assert not any(option in line for line in said) and any("as given" in line for line in said)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        assert not torch.equal(usual(x), other(x))


def test_what_the_options_compute(tmp_path: Path) -> None:
    clamped, _ = read("resnet", tmp_path / "w.pth", Reading(activation="clamp"))
    usual, _ = read("resnet", tmp_path / "w.pth", Reading())
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(usual(x).atanh().clamp(-1, 1), clamped(x), atol=1e-3, rtol=0)
    anime, _ = read("animegan", tmp_path / "w.pth", Reading(corners="centred"))
    enlarge = anime.get_submodule("up1.0")
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(x), expected)


@pytest.mark.parametrize(
    ("family", "reading", "said"),
    [
        ("whitebox", Reading(activation="clamp"), "resnet and unet have tanh and clamp"),
        ("resnet", Reading(activation="relu"), "--activation relu: "),
        ("unet", Reading(corners="aligned"), "animegan and whitebox have bilinear doublings"),
        ("animegan", Reading(corners="x"), "--corners 'x': choose from aligned, centred"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    family: str, reading: Reading, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(family, tmp_path / "w.pth", reading)
