"""Families: traceable at any size their strides allow, slimmable, with the widths their spec states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError

from edgegan.errors import ConfigError, InputError
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.compact.network import CompactSpec
from edgegan.models.discriminator import MultiscaleDiscriminator, MultiscaleSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.rrdbnet.network import RrdbSpec
from edgegan.models.sngan.network import SnganDiscriminator, SnganDiscriminatorSpec, SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.srgan.network import SrganSpec
from edgegan.models.stargan.network import StarganSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.ugatit.network import UgatitSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.whitebox.network import WhiteboxSpec
from edgegan.models.zoo import (
    FAMILIES,
    build,
    check_package_size,
    check_size,
    describe_io,
    image_sides,
)
from edgegan.package import ImageIO, LabelMapIO, NoiseIO, PackageConfig, input_shape

ANTIALIASED = {"halving": "blurred", "doubling": "blurred"}
SMALL: dict[str, tuple[str, BaseModel, tuple[int, int], tuple[int, int]]] = {
    "resnet": ("resnet", ResnetSpec.from_ngf(4, blocks=2), (16, 20), (24, 16)),
    "mobile resnet": (
        "resnet",
        ResnetSpec.from_ngf(4, blocks=2, block="separable", in_channels=1, out_channels=5),
        (16, 20),
        (24, 16),
    ),
    "deep resnet": (
        "resnet",
        ResnetSpec.from_ngf(2, blocks=1, halvings=4, in_channels=36),
        (32, 48),
        (64, 32),
    ),
    "shallow resnet": ("resnet", ResnetSpec.from_ngf(4, blocks=1, halvings=1), (16, 18), (18, 16)),
    "antialiased resnet": ("resnet", ResnetSpec.from_ngf(4, 2, **ANTIALIASED), (16, 20), (24, 16)),
    "unet": ("unet", UnetSpec.from_ngf(4, halvings=5), (32, 64), (64, 32)),
    "spade": ("spade", SpadeSpec.from_ngf(2, classes=4), (64, 128), (128, 64)),
    "mobile spade": (
        "spade",
        SpadeSpec.from_ngf(
            2, classes=4, instance_edge=False, upsampling="normal", block="separable"
        ),
        (64, 128),
        (128, 64),
    ),
    "cartoon": (
        "cartoon",
        CartoonSpec(stem=4, down1=(8, 8), down2=(8, 12), inner=(8, 4), up1=(8, 8), up2=(4, 4)),
        (16, 24),
        (20, 16),
    ),
    "transformer_net": (
        "transformer_net",
        TransformerSpec(stem=4, down=8, trunk=8, inner=(8, 4), up=(8, 4)),
        (16, 24),
        (20, 16),
    ),
    "animegan": (
        "animegan",
        AnimeSpec(
            stem=4,
            half=(8, 8),
            quarter=(8, 8, 8),
            expanded=(16, 24),
            trunk=12,
            narrow=8,
            up1=(8, 8),
            up2=(8, 8, 4),
        ),
        (16, 24),
        (20, 16),
    ),
    "srgan": ("srgan", SrganSpec(trunk=8, inner=(4, 6), up=(6, 4)), (16, 20), (8, 24)),
    "mobile srgan": (
        "srgan",
        SrganSpec(trunk=8, inner=(4, 6), up=(6,), block="separable", norm="batch"),
        (16, 20),
        (8, 24),
    ),
    "compact": ("compact", CompactSpec(convs=(8, 6, 4), upscale=2), (16, 20), (9, 7)),
    "rrdbnet": (
        "rrdbnet",
        RrdbSpec(trunk=8, grow=4, blocks=2, up=(8, 6), refine=4, unshuffle=2),
        (16, 20),
        (8, 10),
    ),
    "stargan": (
        "stargan",
        StarganSpec(stem=4, down=8, trunk=8, inner=(4, 6), up=(6, 4), label=(1.0, 0.0)),
        (16, 20),
        (24, 16),
    ),
    "ugatit": (
        "ugatit",
        UgatitSpec(
            stem=4,
            down=8,
            trunk=8,
            inner=(4,),
            turned=8,
            hidden=(6, 6),
            decoded=(8,),
            up=(6, 4),
            adaptive="light",
        ),
        (16, 20),
        (24, 16),
    ),
    "whitebox": (
        "whitebox",
        WhiteboxSpec(stem=4, halved=(4, 6), half=6, trunk=8, inner=(8, 4), refined=6, last=4),
        (16, 20),
        (24, 16),
    ),
    "sngan": (
        "sngan",
        SnganSpec(latent=6, stem=8, width=(8, 6, 4), inner=(4, 8, 8)),
        (32, 32),
        (32, 32),
    ),
}


def example(spec: BaseModel, size: tuple[int, int]) -> torch.Tensor:
    """A random input of this spec."""
    return torch.randn(input_shape(describe_io(spec)[0], size))


@pytest.mark.parametrize("name", SMALL)
def test_traced_once_runs_at_any_size(name: str) -> None:
    family, spec, first, second = SMALL[name]
    module = build(family, spec).eval()
    traced = torch.fx.symbolic_trace(module)
    for size in (first, second):
        check_size(family, size, spec)
        x = example(spec, size)
        with torch.no_grad():
            output = module(x)
            assert torch.equal(traced(x), output)
        assert output.shape == (1, spec.out_channels, *made_of(spec, size))


def made_of(spec: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what a generator makes."""
    return int(size[0] * spec.ratio), int(size[1] * spec.ratio)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels(family: str, channels: int) -> None:
    _, spec, size, _ = SMALL[family]
    changed: dict[str, int] = {"out_channels": channels}
    if "in_channels" in type(spec).model_fields:
        changed["in_channels"] = channels + (family != "compact")
    spec = spec.model_copy(update=changed)
    output = build(family, spec).eval()(example(spec, size))
    assert output.shape == (1, channels, *made_of(spec, size))


@pytest.mark.parametrize("name", SMALL)
def test_taps_are_modules_that_give_maps(name: str) -> None:
    family, spec, size, _ = SMALL[name]
    module = build(family, spec).eval()
    shapes = {}
    for tap in module.taps():  # type: ignore[operator]
        module.get_submodule(tap).register_forward_hook(
            lambda _m, _x, y, tap=tap: shapes.update({tap: y.shape})
        )
    module(example(spec, size))
    assert list(shapes) == module.taps()  # type: ignore[operator]
    assert all(len(shape) == 4 for shape in shapes.values())


@pytest.mark.parametrize(
    "family", ["resnet", "deep resnet", "antialiased resnet", "cartoon", "transformer_net"]
)
def test_first_tap_is_behind_the_activation(family: str) -> None:
    """As GAN Compression's code taps it: nothing negative, and exactly what the trunk reads."""
    name, spec, size, _ = SMALL[family]
    module = build(name, spec).eval()
    seen: dict[str, torch.Tensor] = {}
    tap = module.taps()[0]  # type: ignore[operator]
    module.get_submodule(tap).register_forward_hook(lambda _m, _x, y: seen.update(tap=y))
    module.blocks[0].register_forward_pre_hook(lambda _m, x: seen.update(trunk=x[0]))  # type: ignore[operator, union-attr, index]
    module(example(spec, size))
    assert float(seen["tap"].detach().min()) >= 0
    assert torch.equal(seen["tap"], seen["trunk"])


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_parameter(name: str) -> None:
    family, spec, size, _ = SMALL[name]
    module = build(family, spec).train()
    module(torch.cat([example(spec, size)] * 2)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_students_are_narrower_and_specs_survive_json(name: str) -> None:
    family, spec, size, _ = SMALL[name]
    block: Any = (
        "separable" if family in ("resnet", "cartoon", "transformer_net", "spade") else "dense"
    )
    student: BaseModel = spec.scaled(0.5, 2, block, "batch")
    again = type(spec).model_validate_json(student.model_dump_json())
    assert again == student
    module, whole = build(family, student).eval(), build(family, spec)
    count, total = (sum(p.numel() for p in net.parameters()) for net in (module, whole))
    assert count < total
    assert module(example(student, size)).shape[2:] == made_of(student, size)


@pytest.mark.parametrize("family", ["unet", "animegan", "sngan"])
def test_families_without_separable_blocks_say_so(family: str) -> None:
    with pytest.raises(ConfigError, match=rf"family {family} .*student.block to dense"):
        FAMILIES[family].spec().scaled(0.5, 8, "separable", "batch")


def test_width_configs() -> None:
    eight = ResnetSpec.from_config("1_2_3_4_5_6_7_8")
    assert (eight.stem, eight.down, eight.trunk, eight.up) == (1, 4, 12, (14, 8))
    assert eight.inner == (16,) * 3 + (20,) * 3 + (24,) * 3
    six = ResnetSpec.from_config("1_2_3_4_5_6")
    assert (six.inner, six.up) == ((16,) * 9, (10, 6))
    legacy = ResnetSpec.from_config("1_2_3_4_5_6", legacy=True)
    assert legacy.inner == (16, 12, 12) * 3
    spade = SpadeSpec.from_config("1_2_3_4_5_6_7_8")
    assert (spade.trunk, spade.up) == (16, (40, 24, 14, 8))
    assert spade.inner == (32, 48, 64, 40, 24, 14, 8)
    assert spade.hidden == (4, 6, 8, 10, 12, 14, 16)


@pytest.mark.parametrize(
    "config", ["", "1_2_3", "1_2_3_4_5_6_7_x", "1_2_3_4_5_6_7_0", "1_2_3_4_5_6_7"]
)
def test_wrong_width_configs(config: str) -> None:
    with pytest.raises(ConfigError, match="6 or 8 positive integers"):
        ResnetSpec.from_config(config)


def test_legacy_configs_have_six_integers() -> None:
    with pytest.raises(ConfigError, match="6 positive integers"):
        ResnetSpec.from_config("1_2_3_4_5_6_7_8", legacy=True)


def test_depths_must_agree() -> None:
    with pytest.raises(ValidationError, match="one fewer than down"):
        UnetSpec(down=(4, 8, 8), up=(8,))
    with pytest.raises(ValidationError, match="as many as width"):
        SnganSpec(width=(8, 8), inner=(8,))


@pytest.mark.parametrize(
    ("family", "spec", "size"),
    [
        ("resnet", None, (18, 16)),
        ("resnet", None, (12, 16)),
        ("unet", UnetSpec.from_ngf(4, halvings=7), (64, 128)),
        ("spade", SpadeSpec(upsampling="normal"), (48, 64)),
        ("spade", SpadeSpec(block="separable"), (64, 128)),
        ("sngan", SnganSpec(), (64, 64)),
    ],
)
def test_sizes_that_do_not_fit(family: str, spec: BaseModel | None, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"family {family}"):
        check_size(family, size, spec)


def test_package_sizes_follow_its_own_spec() -> None:
    spec = UnetSpec.from_ngf(4, halvings=7)
    config = PackageConfig(family="unet", spec=spec.model_dump(), parameters=1, files={})
    check_package_size(config, (128, 256))
    assert image_sides("unet", spec) == (128, 128)
    with pytest.raises(InputError, match="multiples of 256"):
        check_size("unet", (128, 256))


def test_inputs_are_described() -> None:
    assert describe_io(ResnetSpec(in_channels=1))[0] == ImageIO(channels=1, colour="grey")
    label, picture = describe_io(SpadeSpec())
    assert label == LabelMapIO(classes=35, instance_edge=True)
    assert input_shape(label, (8, 4)) == (1, 36, 8, 4)
    assert picture == ImageIO()
    noise = describe_io(SnganSpec())[0]
    assert noise == NoiseIO(dimension=128)
    assert input_shape(noise, (32, 32)) == (1, 128)
    config = PackageConfig(
        family="spade", spec={}, input=label, output=picture, parameters=1, files={}
    )
    again = PackageConfig.model_validate_json(config.model_dump_json())
    assert again.input == label


def test_spade_discriminator() -> None:
    judge = MultiscaleDiscriminator(MultiscaleSpec(in_channels=5, ndf=4)).eval()
    results = judge(torch.randn(1, 5, 64, 32))
    assert [len(maps) for maps in results] == [5, 5]
    assert [maps[0].shape for maps in results] == [(1, 4, 33, 17), (1, 4, 17, 9)]
    assert results[0][-1].shape[1] == 1
    # 4x4 convolutions 5-4, 4-8, 8-16, 16-32, 32-1; biases where no InstanceNorm follows
    weights = 16 * (5 * 4 + 4 * 8 + 8 * 16 + 16 * 32 + 32) + 4 + 1
    assert sum(p.numel() for p in judge.parameters()) == 2 * weights


def test_sngan_discriminator() -> None:
    judge = SnganDiscriminator(SnganDiscriminatorSpec(ndf=8))
    assert judge(torch.randn(3, 3, 32, 32)).shape == (3, 1)
    # first block 3-8; second with a shortcut; two without; biases; one Linear without bias
    first = 9 * 3 * 8 + 9 * 64 + 3 * 8 + 3 * 8
    second = 2 * 9 * 64 + 64 + 3 * 8
    rest = 2 * (2 * 9 * 64 + 2 * 8)
    assert sum(p.numel() for p in judge.parameters()) == first + second + rest + 8
