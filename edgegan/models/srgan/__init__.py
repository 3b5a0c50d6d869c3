"""SRGAN generators in their light form."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.srgan import keymap
from edgegan.models.srgan.network import SrganSpec

FAMILY = Family(
    name="srgan",
    spec=SrganSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published("fast_srgan", SrganSpec(), (128, 128), "SRGAN (Ledig et al. 2017), Fast-SRGAN"),
    ),
    trial=(SrganSpec().scaled(0.25, 8, "separable", "batch"), (32, 32)),
)
