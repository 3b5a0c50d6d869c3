"""Spectral and weight normalisation, as old and new torch save them, in families that were not made with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrizations

from edgegan.errors import CheckpointError
from edgegan.models.checkpoints import import_checkpoint, public_state
from edgegan.models.resnet.keymap import namer as resnet_namer
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.keymap import namer as unet_namer
from edgegan.models.unet.network import UnetSpec

FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "old spectral": utils.spectral_norm,
    "new spectral": parametrizations.spectral_norm,
    "old weight": utils.weight_norm,
    "new weight": parametrizations.weight_norm,
}
# Doublings of equal width before and after: their shapes do not tell the axis of the outputs.
NETS: dict[str, tuple[Spec, Callable[[str], str]]] = {
    "resnet": (
        ResnetSpec(stem=4, down=6, trunk=8, inner=(8, 8), up=(8, 8)),
        resnet_namer(2, 5),
    ),
    "unet": (UnetSpec(down=(4, 6, 8), up=(8, 4), norm="instance"), unet_namer(3)),
}
MARKS = ("parametrizations.weight.", "weight_", "weight", "bias")


def normed(spec: Spec, form: str) -> nn.Module:
    """A generator whose convolutions are normed, after some steps of what training does to the norm."""
    torch.manual_seed(0)
    module = spec.build()
    layers = [
        each for each in module.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its old form is old
        for layer in layers:
            FORMS[form](layer)
    with torch.no_grad():
        for _ in range(20):
            module.train()(torch.randn(2, 3, 32, 32))
    return module.eval()


def public_keys(module: nn.Module, to_public: Callable[[str], str]) -> dict[str, torch.Tensor]:
    """Its state in public names: the layer's public place, and what torch calls the tensor there."""
    state = {}
    for key, value in module.state_dict().items():
        mark = next(mark for mark in MARKS if f".{mark}" in key)
        layer, _, rest = key.partition(f".{mark}")
        state[to_public(f"{layer}.weight").removesuffix("weight") + mark + rest] = value
    return state


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", NETS)
def test_folded_exactly_and_put_back(family: str, form: str, tmp_path: Path) -> None:
    spec, to_public = NETS[family]
    net = normed(spec, form)
    state = public_keys(net, to_public)
    torch.save(state, tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth")
    count = sum(isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)) for each in net.modules())
    name = form.split()[1]
    assert imported.changes[0] == f"{name} normalisation of {count} layers folded (exact)"
    made = imported.spec.build().eval()
    made.load_state_dict(imported.state)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(made(x), net(x), atol=1e-5, rtol=0)
    back = public_state(imported)
    assert set(back) == set(state)
    torch.save(back, tmp_path / "back.pth")
    again = import_checkpoint(tmp_path / "back.pth")
    for key, value in imported.state.items():
        torch.testing.assert_close(again.state[key], value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "gone", "says"),
    [
        ("new spectral", "model.4.parametrizations.weight.0._u", "missing 'model.4.param.*_u'"),
        ("new weight", "model.4.parametrizations.weight.original1", "missing 'model.4.param.*l1'"),
        ("old weight", "model.4.weight_v", "missing 'model.4.weight_v' beside 'model.4.weight_g'"),
    ],
)
def test_a_layer_that_lacks_a_tensor_is_named(
    form: str, gone: str, says: str, tmp_path: Path
) -> None:
    spec, to_public = NETS["resnet"]
    state = public_keys(normed(spec, form), to_public)
    torch.save({key: value for key, value in state.items() if key != gone}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=says):
        import_checkpoint(tmp_path / "a.pth")
    state[gone] = torch.ones(3, 3)
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="does not fit"):
        import_checkpoint(tmp_path / "b.pth")
