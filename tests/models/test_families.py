"""Every family listed is whole, and one that forgot something says what, before any work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgegan.channels.graph import trace_channels
from edgegan.compress.search.widths import width_space
from edgegan.errors import ConfigError
from edgegan.models.catalogue import catalogue
from edgegan.models.checkpoints import Imported, public_state
from edgegan.models.contract import Family, check_family
from edgegan.models.keymaps.resnet import namer
from edgegan.models.packaging import import_to_package
from edgegan.models.residual_blocks import block_of
from edgegan.models.resnet import FAMILY as RESNET
from edgegan.models.resnet import ResnetGenerator, ResnetSpec
from edgegan.models.spec import WidthField
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.zoo import FAMILIES


class Forgetful(ResnetSpec):
    """A ResNet without a width for its stem."""

    WIDTHS = tuple(field for field in ResnetSpec.WIDTHS if field.field != "stem")


class Misnamed(ResnetSpec):
    """A ResNet whose widths name a field that it does not have."""

    WIDTHS = (*ResnetSpec.WIDTHS, WidthField("head", "tail"))


class Misplaced(ResnetSpec):
    """A ResNet whose trunk takes the width of the stem."""

    WIDTHS = (WidthField("down2", "stem"), *ResnetSpec.WIDTHS)


class Tapless(ResnetSpec):
    """A ResNet whose taps are no modules."""

    def build(self) -> ResnetGenerator:
        """With taps of another generator."""
        module = super().build()
        module.taps = lambda: ["at_quarter"]  # type: ignore[method-assign]
        return module


def family_of(spec: type[ResnetSpec]) -> Family:
    """The ResNets as another spec states them."""
    small = spec.from_ngf(8, 1).model_dump()
    one = spec.model_validate(small)
    published = (replace(RESNET.published[0], spec=one),)
    return replace(RESNET, name="toy", spec=spec, published=published, trial=(one, (16, 16)))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_whole(name: str) -> None:
    assert FAMILIES[name].name == name
    check_family(FAMILIES[name])


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (replace(RESNET, keymap=replace(RESNET.keymap, example="")), "no example of a key"),
        (replace(RESNET, published=()), "no published generator"),
        (replace(RESNET, spec=TransformerSpec), "a spec is a ResnetSpec, not a TransformerSpec"),
        (family_of(Forgetful), "no width for channel group 'stem'; state it in WIDTHS"),
        (family_of(Misnamed), "no field 'tail', which its WIDTHS name"),
        (family_of(Misplaced), "gives channel group 'down2' 8 channels, not 32"),
        (family_of(Tapless), "its taps name 'at_quarter', which is no module"),
    ],
)
def test_what_a_family_forgot_is_said(family: Family, said: str) -> None:
    with pytest.raises(ConfigError, match=f"family {family.name}: .*{said}"):
        check_family(family)


def test_a_listed_family_that_forgot_something_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FAMILIES, "toy", family_of(Forgetful))
    with pytest.raises(ConfigError, match="family toy"):
        catalogue()


def test_no_package_of_a_family_that_forgot_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Said when its first teacher is imported, not when a search has been paid for."""
    module = ResnetSpec.from_ngf(8, 1).build()
    state = public_state(Imported("resnet", ResnetSpec.from_ngf(8, 1), module.state_dict()))
    torch.save(state, tmp_path / "net_G.pth")
    monkeypatch.setitem(FAMILIES, "resnet", replace(family_of(Forgetful), keymap=RESNET.keymap))
    with pytest.raises(ConfigError, match="no width for channel group 'stem'"):
        import_to_package(tmp_path / "net_G.pth", tmp_path / "package", size=(16, 16))
    assert not (tmp_path / "package").exists()


def test_a_search_over_a_group_without_a_width_does_not_begin() -> None:
    spec = Forgetful.from_ngf(8, 1)
    graph = trace_channels(spec.build(), torch.zeros(1, 3, 16, 16))
    with pytest.raises(ConfigError, match="no width for channel group 'stem'"):
        width_space(graph, Forgetful, 0.25, 8)


def test_names_are_unique_and_specs_are_their_own() -> None:
    shown = [published.name for _, published in catalogue()]
    assert len(shown) == len(set(shown)) == 26
    assert len({family.spec for family in FAMILIES.values()}) == len(FAMILIES) == 13


def test_removable_blocks() -> None:
    assert (block_of("blocks.12.conv1"), block_of("blocks.3.conv1.pointwise")) == (12, 3)
    assert block_of("blocks.3.conv2") is None
    removable = {
        name for name, each in FAMILIES.items() if any(w.removable for w in each.spec.WIDTHS)
    }
    assert removable == {"resnet", "cartoon", "transformer_net", "ugatit", "stargan"}


def test_the_path_by_which_programs_outside_import_names() -> None:
    assert namer(9, 5)("up1.weight") == "model.19.weight"
