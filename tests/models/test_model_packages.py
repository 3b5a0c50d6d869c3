"""Checkpoints of every kind of input to packages and back to modules that give the golden outputs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from edgegan.errors import ConfigError, InputError
from edgegan.files import read_json, write_json
from edgegan.models.checkpoints import Imported, import_checkpoint, public_state
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.judges import judged, load_judge
from edgegan.models.packaging import import_to_package
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan import keymap as sngan
from edgegan.models.sngan.network import SnganGenerator, SnganSpec
from edgegan.models.spade import keymap as spade
from edgegan.models.spade.network import SpadeGenerator, SpadeSpec
from edgegan.models.stargan.network import StarganSpec
from edgegan.models.ugatit.network import UgatitSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import FAMILIES, build, load_generator
from edgegan.package import LabelMapIO, NoiseIO, read_tensors


def test_label_map_package(tmp_path: Path) -> None:
    module = SpadeGenerator(SpadeSpec.from_ngf(2, classes=5, upsampling="normal"))
    state = {spade.to_public(key): value for key, value in module.state_dict().items()}
    torch.save(state, tmp_path / "net_G.pth")
    config = import_to_package(tmp_path / "net_G.pth", tmp_path / "pkg", size=(32, 64))
    assert config.input == LabelMapIO(classes=5, instance_edge=True)
    again, loaded = load_generator(tmp_path / "pkg")
    golden = read_tensors(tmp_path / "pkg", again, "golden.safetensors")
    assert golden["input"].shape == (1, 6, 32, 64)
    assert golden["input"][:, :5].sum(1).eq(1).all()
    assert 0 < golden["input"][:, 5].mean() < 1
    with torch.no_grad():
        torch.testing.assert_close(loaded(golden["input"][:1]), golden["output"][:1])


def test_noise_package_has_its_own_size(tmp_path: Path) -> None:
    spec = SnganSpec(latent=6, stem=8, width=(8, 8, 8), inner=(8, 8, 8))
    own = SnganGenerator(spec).state_dict()
    state = public_state(Imported("sngan", spec, own))
    assert set(state) == {sngan.namer(3)(key) for key in own}
    torch.save(state, tmp_path / "net_G.pth")
    config = import_to_package(tmp_path / "net_G.pth", tmp_path / "pkg")
    assert (config.size, config.input) == ((32, 32), NoiseIO(dimension=6))
    golden = read_tensors(tmp_path / "pkg", config, "golden.safetensors")
    assert golden["input"].shape == (1, 6)
    assert golden["output"].shape == (1, 3, 32, 32)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_students_go_to_the_public_layout_and_back(family: str, tmp_path: Path) -> None:
    """A module of ours that was never a checkpoint is written in public names and read to the same weights."""
    specs: dict[str, BaseModel] = {
        "resnet": ResnetSpec.from_ngf(4, block="separable"),
        "unet": UnetSpec.from_ngf(2, halvings=5),
        "spade": SpadeSpec.from_ngf(2, classes=4, upsampling="normal"),
        "stargan": StarganSpec(label=()),
        "ugatit": UgatitSpec(
            stem=4,
            down=8,
            trunk=8,
            inner=(8,),
            turned=8,
            hidden=(8, 8),
            decoded=(8,),
            up=(6, 4),
            adaptive="light",
        ),
    }
    spec = specs.get(family) or FAMILIES[family].spec()
    module = build(family, spec)
    torch.save(public_state(Imported(family, spec, module.state_dict())), tmp_path / "out.pth")
    again = import_checkpoint(tmp_path / "out.pth")
    assert (again.family, again.spec) == (family, spec)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(again.state[key], value, atol=1e-5, rtol=1e-5, msg=key)


def test_discriminator_of_grey_pictures_sees_both(tmp_path: Path) -> None:
    """Also in a package that an earlier import wrote, which took two channels for an unconditional one's."""
    spec = ResnetSpec.from_ngf(4, 1, in_channels=1, out_channels=1)
    module = build("resnet", spec)
    torch.save(public_state(Imported("resnet", spec, module.state_dict())), tmp_path / "net_G.pth")
    judge = PatchDiscriminator(PatchSpec(in_channels=2, ndf=4, layers=1))
    torch.save(judge.state_dict(), tmp_path / "net_D.pth")
    package = tmp_path / "pkg"
    import_to_package(
        tmp_path / "net_G.pth", package, discriminator=tmp_path / "net_D.pth", size=(32, 32)
    )
    x = torch.rand(1, 1, 32, 32)
    config = read_json(package / "config.json")
    for wrong in ({}, {"conditional": False}):
        config["discriminator"] |= wrong
        write_json(package / "config.json", config)
        found, loaded = load_judge(package)
        assert loaded(judged(found, x, x)).shape == (1, 1, 14, 14)
    config["discriminator"]["in_channels"] = 5
    write_json(package / "config.json", config)
    with pytest.raises(ConfigError, match="sees 5 channels; beside a generator of 1 to 1"):
        load_judge(package)


def test_size_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    module = SpadeGenerator(SpadeSpec.from_ngf(2, classes=5, upsampling="normal"))
    state = {spade.to_public(key): value for key, value in module.state_dict().items()}
    torch.save(state, tmp_path / "net_G.pth")
    with pytest.raises(InputError, match="multiples of 32"):
        import_to_package(tmp_path / "net_G.pth", tmp_path / "pkg", size=(40, 64))
    assert not (tmp_path / "pkg").exists()


def test_eleven_million_parameters_in_seconds(data_folder: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    path = data_folder / "weights" / "cartoongan_hayao_fp16.pth"
    config = import_to_package(path, tmp_path / "pkg", size=(64, 64))
    assert config.parameters == 11_129_667
    assert time.monotonic() - started < 6
