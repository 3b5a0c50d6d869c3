"""AnimeGANv2 generators."""

from edgegan.models.animegan import keymap
from edgegan.models.animegan.network import AnimeSpec
from edgegan.models.contract import Family, Keymap, Published

FAMILY = Family(
    name="animegan",
    spec=AnimeSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(Published("animeganv2", AnimeSpec(), (256, 256), "AnimeGAN (Chen et al. 2020)"),),
    trial=(AnimeSpec().scaled(0.5, 8, "dense", "batch"), (128, 128)),
)
