"""Broken and hostile checkpoint files; test_bad_inputs.py gives each of CASES to the command line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from support.broken_checkpoints import KEY, good_state

from edgegan.errors import CheckpointError, EdgeGANError, InputError
from edgegan.models.checkpoints import import_checkpoint
from edgegan.models.public_judges import import_discriminator
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_is_an_error_or_harmless(zipped: bool, tmp_path: Path) -> None:
    """Bytes changed, removed or cut off at random places of a good file."""
    path = tmp_path / "net_G.pth"
    torch.save(good_state(), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    names = data.find(KEY.encode())
    chance = random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        place = chance.choice([chance.randrange(len(data)), names + chance.randrange(-200, 2000)])
        kind = chance.choice(("change", "remove", "cut"))
        if kind == "change":
            damaged[place] ^= 1 << chance.randrange(8)
        elif kind == "remove":
            del damaged[place : place + chance.randrange(1, 40)]
        else:
            del damaged[place:]
        path.write_bytes(bytes(damaged))
        try:
            import_checkpoint(path)
        except CheckpointError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 20


def test_the_good_state_is_good(tmp_path: Path) -> None:
    """Every case above differs from this in one thing."""
    torch.save(good_state(), tmp_path / "net_G.pth")
    imported = import_checkpoint(tmp_path / "net_G.pth")
    assert imported.spec == ResnetSpec.from_ngf(4, blocks=6)
    ResnetGenerator(imported.spec).load_state_dict(imported.state)


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = good_state()
    save_file({key: value.half() for key, value in state.items()}, tmp_path / "net.safetensors")
    imported = import_checkpoint(tmp_path / "net.safetensors")
    assert torch.equal(imported.state["stem.weight"], state[KEY].half().float())


def test_wrong_places_and_wrong_family(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_checkpoint(tmp_path / "none.pth")
    with pytest.raises(InputError, match="is a folder"):
        import_checkpoint(tmp_path)
    torch.save(good_state(), tmp_path / "net_G.pth")
    with pytest.raises(CheckpointError, match="'resnet' generator, not 'cartoon'"):
        import_checkpoint(tmp_path / "net_G.pth", "cartoon")
    with pytest.raises(EdgeGANError, match="unknown family 'restnet'; did you mean 'resnet'"):
        import_checkpoint(tmp_path / "net_G.pth", "restnet")
    with pytest.raises(CheckpointError, match=r"model\.0\.weight"):
        import_discriminator(tmp_path / "net_G.pth")
    torch.save({"model.0.weight": torch.ones(4, 3, 4, 4)}, tmp_path / "net_D.pth")
    with pytest.raises(CheckpointError, match="1 convolutions, not those of a PatchGAN"):
        import_discriminator(tmp_path / "net_D.pth")


@pytest.mark.parametrize("family", ["resnet", "unet", "spade", "cartoon", "animegan", "sngan"])
def test_a_forced_family_names_what_is_missing(family: str, tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        import_checkpoint(tmp_path / "other.pth", family)


@pytest.mark.parametrize(
    "first", ["conv01_1.weight", "conv1.conv2d.weight", "block_a.0.1.weight", "l1.weight"]
)
def test_a_file_with_one_good_key_names_what_is_missing(first: str, tmp_path: Path) -> None:
    torch.save({first: torch.ones(4, 3, 3, 3), "block2.c1.bias": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth: missing key"):
        import_checkpoint(tmp_path / "a.pth")
