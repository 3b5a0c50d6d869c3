"""ResNet generators of CycleGAN, pix2pix and GAN Compression."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.resnet import keymap
from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec

__all__ = ["FAMILY", "ResnetGenerator", "ResnetSpec"]

SQUARE = (256, 256)
CYCLEGAN = "CycleGAN (Zhu et al. 2017)"
COMPRESSION = "GAN Compression (Li et al. 2020)"
OMGD = "OMGD (Ren et al. 2021)"
CONTRASTIVE = "CUT (Park et al. 2020)"
PIX2PIXHD = "pix2pixHD (Wang et al. 2018)"
ANTIALIASED = ResnetSpec.from_ngf(64, halving="blurred", doubling="blurred")
DEEP = ResnetSpec.from_ngf(64, halvings=4, in_channels=36)
MOBILE, NARROW = (ResnetSpec.from_ngf(ngf, block="separable") for ngf in (64, 16))
SEARCHED = ResnetSpec.from_config("32_32_48_32_48_48_16_16")
FAMILY = Family(
    name="resnet",
    spec=ResnetSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE, keymap.sub_network),
    published=(
        Published("resnet_9blocks", ResnetSpec.from_ngf(64), SQUARE, CYCLEGAN),
        Published("resnet_6blocks", ResnetSpec.from_ngf(64, blocks=6), SQUARE, CYCLEGAN),
        Published("resnet_9blocks_antialiased", ANTIALIASED, SQUARE, CONTRASTIVE),
        Published("resnet_4_halvings", DEEP, (512, 1024), PIX2PIXHD),
        Published("mobile_resnet_9blocks", MOBILE, SQUARE, COMPRESSION),
        Published(
            "mobile_resnet_9blocks_ngf16",
            NARROW,
            SQUARE,
            OMGD,
        ),
        Published(
            "resnet_32_32_48_32_48_48_16_16",
            SEARCHED,
            SQUARE,
            COMPRESSION,
        ),
    ),
    trial=(ResnetSpec.from_ngf(16, block="separable", norm="batch"), (128, 128)),
)
