"""SNGAN generators, which make pictures of noise."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.sngan import keymap
from edgegan.models.sngan.network import SnganSpec

FAMILY = Family(
    name="sngan",
    spec=SnganSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(Published("sngan_cifar10", SnganSpec(), (32, 32), "SNGAN (Miyato et al. 2018)"),),
    trial=(SnganSpec().scaled(0.5, 8, "dense", "batch"), (32, 32)),
)
