"""U-Net generators of pix2pix."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.unet import keymap
from edgegan.models.unet.network import UnetSpec

PIX2PIX = "pix2pix (Isola et al. 2017)"
FAMILY = Family(
    name="unet",
    spec=UnetSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published("unet_256", UnetSpec.from_ngf(64), (256, 256), PIX2PIX),
        Published("unet_128", UnetSpec.from_ngf(64, halvings=7), (128, 128), PIX2PIX),
        Published("unet_256_ngf16", UnetSpec.from_ngf(16), (256, 256), "OMGD (Ren et al. 2021)"),
    ),
    trial=(UnetSpec.from_ngf(8, 7), (128, 128)),
)
