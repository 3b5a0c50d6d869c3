"""The published generators: the name each is known by, its spec, the size its figures are quoted at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel

from edgegan.metrics.complexity import Complexity, measure
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.transformer_net.network import TransformerSpec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build, describe_io
from edgegan.package import InputIO, input_shape


@dataclass(frozen=True)
class Entry:
    """One published generator."""

    name: str
    family: str
    spec: BaseModel
    size: tuple[int, int]
    source: str

    @property
    def input(self) -> InputIO:
        """What it takes: an image, a label map or noise."""
        return describe_io(self.spec)[0]


def catalogue() -> list[Entry]:
    """The shapes of the papers that edgegan builds, imports and compresses."""
    square = (256, 256)
    cyclegan = "CycleGAN (Zhu et al. 2017)"
    compression = "GAN Compression (Li et al. 2020)"
    return [
        Entry("resnet_9blocks", "resnet", ResnetSpec.from_ngf(64), square, cyclegan),
        Entry("resnet_6blocks", "resnet", ResnetSpec.from_ngf(64, blocks=6), square, cyclegan),
        Entry(
            "mobile_resnet_9blocks",
            "resnet",
            ResnetSpec.from_ngf(64, block="separable"),
            square,
            compression,
        ),
        Entry(
            "mobile_resnet_9blocks_ngf16",
            "resnet",
            ResnetSpec.from_ngf(16, block="separable"),
            square,
            "OMGD (Ren et al. 2021)",
        ),
        Entry(
            "resnet_32_32_48_32_48_48_16_16",
            "resnet",
            ResnetSpec.from_config("32_32_48_32_48_48_16_16"),
            square,
            compression,
        ),
        Entry("unet_256", "unet", UnetSpec.from_ngf(64), square, "pix2pix (Isola et al. 2017)"),
        Entry(
            "unet_128",
            "unet",
            UnetSpec.from_ngf(64, halvings=7),
            (128, 128),
            "pix2pix (Isola et al. 2017)",
        ),
        Entry("unet_256_ngf16", "unet", UnetSpec.from_ngf(16), square, "OMGD (Ren et al. 2021)"),
        Entry(
            "spade_cityscapes",
            "spade",
            SpadeSpec.from_ngf(64),
            (256, 512),
            "SPADE (Park et al. 2019)",
        ),
        Entry(
            "spade_coco",
            "spade",
            SpadeSpec.from_ngf(64, classes=183, upsampling="normal"),
            square,
            "SPADE (Park et al. 2019)",
        ),
        Entry(
            "mobile_spade_cityscapes",
            "spade",
            SpadeSpec.from_ngf(64, block="separable"),
            (256, 512),
            compression,
        ),
        Entry("cartoongan", "cartoon", CartoonSpec(), square, "CartoonGAN (Chen et al. 2018)"),
        Entry(
            "transformer_net",
            "transformer_net",
            TransformerSpec(),
            square,
            "Perceptual losses (Johnson et al. 2016)",
        ),
        Entry("animeganv2", "animegan", AnimeSpec(), square, "AnimeGAN (Chen et al. 2020)"),
        Entry("sngan_cifar10", "sngan", SnganSpec(), (32, 32), "SNGAN (Miyato et al. 2018)"),
    ]


def measure_spec(family: str, spec: BaseModel, size: tuple[int, int]) -> Complexity:
    """Costs of a generator of this spec at a height and width; nothing is computed, so it takes no memory."""
    with torch.device("meta"):
        module = build(family, spec)
        example = torch.empty(input_shape(describe_io(spec)[0], size))
    return measure(module, example)


def measure_entry(entry: Entry) -> Complexity:
    """Costs of one published generator at its own size."""
    return measure_spec(entry.family, entry.spec, entry.size)
