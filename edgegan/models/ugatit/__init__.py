"""U-GAT-IT's generators."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.ugatit import keymap
from edgegan.models.ugatit.network import UgatitSpec

UGATIT = "U-GAT-IT (Kim et al. 2020)"
LIGHT = UgatitSpec(adaptive="light")
FAMILY = Family(
    name="ugatit",
    spec=UgatitSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published("ugatit", UgatitSpec(), (256, 256), UGATIT),
        Published("ugatit_light", LIGHT, (256, 256), f"{UGATIT}, light"),
    ),
    trial=(UgatitSpec.from_channels(8, blocks=2, side=32), (32, 32)),
)
