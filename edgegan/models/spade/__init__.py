"""SPADE generators, which paint label maps."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.spade import keymap
from edgegan.models.spade.network import SpadeSpec

COMPRESSION = "GAN Compression (Li et al. 2020)"
SPADE = "SPADE (Park et al. 2019)"
FAMILY = Family(
    name="spade",
    spec=SpadeSpec,
    keymap=Keymap(
        keymap.recognises,
        keymap.read,
        keymap.write,
        keymap.EXAMPLE,
        keymap.sub_network,
        keymap.cut_layout,
    ),
    published=(
        Published("spade_cityscapes", SpadeSpec.from_ngf(64), (256, 512), SPADE),
        Published(
            "spade_coco",
            SpadeSpec.from_ngf(64, classes=183, upsampling="normal"),
            (256, 256),
            SPADE,
        ),
        Published(
            "mobile_spade_cityscapes",
            SpadeSpec.from_ngf(64, block="separable"),
            (256, 512),
            COMPRESSION,
        ),
    ),
    trial=(SpadeSpec.from_ngf(8, classes=12, upsampling="normal", block="separable"), (128, 256)),
)
