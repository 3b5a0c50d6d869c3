"""StarGAN's generators."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.stargan import keymap
from edgegan.models.stargan.network import StarganSpec

SMALL = StarganSpec(
    label=(1.0, 0.0), stem=8, down=16, trunk=32, inner=(24, 32), up=(16, 8), norm="batch"
)
FAMILY = Family(
    name="stargan",
    spec=StarganSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(Published("stargan", StarganSpec(), (128, 128), "StarGAN (Choi et al. 2018)"),),
    trial=(SMALL, (32, 32)),
)
