"""Costs: worked out by hand, equal to the published figures, agreed by fvcore and torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgegan.metrics.complexity import Complexity, measure
from edgegan.models.catalogue import catalogue, measure_spec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spade.network import SpadeSpec

# name: parameters, true MACs, MACs with transposed convolutions at their output's size
PUBLISHED = {
    "resnet_9blocks": (11_378_179, 49_551_507_456, 56_799_264_768),
    "resnet_9blocks_antialiased": (11_378_179, 64_047_022_080, 64_047_022_080),
    "resnet_4_halvings": (182_546_755, 489_324_281_856, 605_288_398_848),
    "mobile_resnet_9blocks": (1_987_075, 11_066_671_104, 18_314_428_416),
    "mobile_resnet_9blocks_ngf16": (137_347, 954_728_448, 1_407_713_280),
    "resnet_32_32_48_32_48_48_16_16": (822_051, 4_055_629_824, 4_961_599_488),
    "unet_256": (54_413_955, 6_048_186_368, 18_140_364_800),
    "unet_256_ngf16": (3_404_451, 406_323_200, 1_218_707_456),
    "spade_cityscapes": (93_048_003, 281_276_612_608, 281_276_612_608),
    "cartoongan": (11_129_667, 54_383_345_664, 61_631_102_976),
    "transformer_net": (1_679_235, 10_078_912_512, 10_078_912_512),
    "animeganv2": (2_143_552, 26_284_654_592, 26_284_654_592),
    "sngan_cifar10": (4_276_739, 1_681_129_472, 1_681_129_472),
}
ENTRIES = {entry.name: entry for _, entry in catalogue()}


def measured(name: str) -> Complexity:
    """Costs of a published generator at its own size."""
    return measure_spec(ENTRIES[name].spec, ENTRIES[name].size)


class Small(nn.Module):
    """Every counted kind of layer, with numbers small enough for a pencil."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.linear = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.depthwise(self.norm(self.conv(x))))
        return x * self.linear(x.mean((2, 3))).mean()


def test_by_hand() -> None:
    cost = measure(Small(), torch.zeros(1, 3, 10, 6))
    conv, depthwise, up, linear = 60 * 8 * 27, 15 * 8 * 9, 15 * 8 * 4 * 16, 4 * 5
    assert cost.macs == conv + depthwise + up + linear == cost.macs_fvcore == cost.macs_torch
    assert cost.macs_convolution == conv + depthwise + up
    assert cost.macs_output_sized == cost.macs + 3 * up
    assert cost.macs_published == cost.macs_output_sized + 60 * 8
    weights, others = 8 * 27 + 8 * 9 + 8 * 4 * 16 + 20, 8 + 16 + 4 + 5
    assert cost.parameters == weights + others
    assert cost.bytes_fp32 == 4 * (weights + others)
    assert cost.bytes_int8 == weights + 4 * others
    assert cost.size == (10, 6)
    assert cost.by_module()["up"] == (8 * 4 * 16 + 4, up)
    assert [layer.macs for layer in cost.layers] == [conv, 0, depthwise, up, linear]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_generators(name: str) -> None:
    cost = measured(name)
    assert (cost.parameters, cost.macs, cost.macs_output_sized) == PUBLISHED[name]
    assert cost.macs_torch == cost.macs
    assert sum(layer.parameters for layer in cost.layers) == cost.parameters
    assert cost.size == ENTRIES[name].size


def test_figures_as_the_papers_print_them() -> None:
    """CycleGAN's 56.8 G, SNGAN's convolutions in binary giga, and torchprofile's count to the last digit."""
    assert measured("resnet_9blocks").macs_published == 56_831_770_624
    assert measured("sngan_cifar10").macs_convolution == 1_680_605_184
    assert f"{1_680_605_184 / 2**30:.2f}" == "1.57"
    config = measured("resnet_32_32_48_32_48_48_16_16")
    assert config.macs_published == 4_993_843_200


def test_fvcore_agrees_on_real_tensors() -> None:
    for name, example in (
        ("mobile_resnet_9blocks_ngf16", torch.zeros(1, 3, 32, 32)),
        ("unet_128", torch.zeros(1, 3, 128, 128)),
        ("transformer_net", torch.zeros(1, 3, 32, 32)),
        ("animeganv2", torch.zeros(1, 3, 32, 32)),
        ("sngan_cifar10", torch.zeros(1, 128)),
    ):
        cost = measure(ENTRIES[name].spec.build(), example)
        assert cost.macs == cost.macs_fvcore == cost.macs_torch


# What GAN Compression's README states beside a config, in millions and in giga of its convention, and what the config
# gives. `True`: the README's row matches its own config to the last digit it prints.
RESNETS = [
    ("24_24_24_32_20_16", False, 0.342, 2.67, 341_627, 2_670_067_712, 1_941_307_392, True),
    ("16_16_32_16_32_32_16_16", False, 0.357, 2.55, 356_867, 2_546_204_672, 1_845_755_904, True),
    ("16_16_24_16_32_64_16_24", False, 0.355, 2.64, 355_235, 2_640_576_512, 1_938_948_096, True),
    ("32_32_40_48_16_32", True, 0.700, 4.81, 699_875, 4_808_769_536, 3_758_751_744, True),
    ("32_32_48_32_48_48_16_16", False, 0.822, 4.99, 822_051, 4_993_843_200, 4_055_629_824, True),
    # 4.83 G is this net without its InstanceNorm elements: another convention in the same table
    ("24_24_40_56_24_56_16_40", False, 0.703, 4.83, 702_835, 4_863_164_416, 3_699_376_128, False),
    ("48_32_40_40_24_32", False, 0.707, 5.66, 707_347, 5_664_538_624, 4_104_388_608, True),
    ("32_32_48_32_32_48_24_24", False, 0.781, 5.59, 780_819, 5_591_531_520, 4_031_250_432, True),
    # neither parameters nor MACs of these two rows are those of the config shipped with them
    ("16_24_48_56_40_48_24_16", False, 0.867, 5.61, 886_307, 5_451_284_480, 4_059_561_984, False),
    ("16_16_40_40_40_64_24_16", False, 0.708, 4.53, 719_507, 4_569_694_208, 3_350_593_536, False),
    ("32_32_48_32_48_32_16_16", False, 0.746, 4.68, 746_211, 4_683_202_560, 3_746_562_048, True),
]


@pytest.mark.parametrize("row", RESNETS, ids=lambda row: row[0])
def test_published_resnet_configs(
    row: tuple[str, bool, float, float, int, int, int, bool],
) -> None:
    config, legacy, readme_millions, readme_giga, parameters, published, true, matches = row
    cost = measure_spec(ResnetSpec.from_config(config, legacy=legacy), (256, 256))
    assert (cost.parameters, cost.macs_published, cost.macs) == (parameters, published, true)
    same_size = round(cost.parameters / 1e6, 3) == readme_millions
    same_macs = round(cost.macs_published / 1e9, 2) == readme_giga
    assert (same_size and same_macs) is matches
    if config == "24_24_40_56_24_56_16_40":
        assert same_size
        assert round(cost.macs_output_sized / 1e9, 2) == readme_giga


# The README rounds some of these MACs up (31.22 G stands there as 31.3, 35.44 G as 35.5).
SPADES = [
    ("32_32_48_32_32_32_32_24", 35, "more", (256, 512), 20.4, 31.7, 20_425_019, 31_662_768_128),
    ("32_40_40_32_40_24_32_24", 35, "more", (256, 512), 21.0, 31.2, 21_002_811, 31_168_225_280),
    ("32_32_32_48_32_24_24_32", 35, "more", (256, 512), 20.2, 31.3, 20_174_275, 31_218_237_440),
    ("40_32_32_40_32_40_24_24", 183, "normal", (256, 256), 26.0, 35.5, 25_985_755, 35_441_475_584),
]


@pytest.mark.parametrize("row", SPADES, ids=lambda row: row[0])
def test_published_spade_configs(
    row: tuple[str, int, str, tuple[int, int], float, float, int, int],
) -> None:
    config, classes, upsampling, size, readme_millions, readme_giga, parameters, published = row
    spec = SpadeSpec.from_config(config, classes=classes, upsampling=upsampling)
    cost = measure_spec(spec, size)
    assert (cost.parameters, cost.macs_published) == (parameters, published)
    assert round(cost.parameters / 1e6, 1) == readme_millions
    assert abs(cost.macs_published / 1e9 - readme_giga) < 0.1


def test_published_coco_spade() -> None:
    cost = measured("spade_coco")
    assert (round(cost.parameters / 1e6, 1), round(cost.macs / 1e9)) == (97.5, 191)


class Windows(nn.Module):
    def __init__(self, vectors: bool) -> None:
        super().__init__()
        self.vectors = vectors
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.LayerNorm(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x).reshape(1, 3, 2, 2, 2, 2)).reshape(x.shape)
        return torch.matmul(y, torch.ones(4))[..., None] + y if self.vectors else y


@pytest.mark.parametrize("vectors", [False, True])
def test_a_form_that_fvcore_does_not_know_stops_no_count(vectors: bool) -> None:
    cost = measure(Windows(vectors), torch.zeros(1, 3, 4, 4))
    assert cost.macs_fvcore == (None if vectors else 3 * 3 * 16)
    assert cost.macs == 3 * 3 * 16
