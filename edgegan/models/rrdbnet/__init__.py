"""ESRGAN's generators."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.rrdbnet import keymap
from edgegan.models.rrdbnet.network import RrdbSpec

FAMILY = Family(
    name="rrdbnet",
    spec=RrdbSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published(
            "realesrgan_x4plus", RrdbSpec(), (128, 128), "ESRGAN (Wang et al. 2018), Real-ESRGAN x4"
        ),
        Published(
            "realesrgan_x4plus_anime",
            RrdbSpec(blocks=6),
            (128, 128),
            "ESRGAN (Wang et al. 2018), Real-ESRGAN x4 anime",
        ),
    ),
    trial=(RrdbSpec(trunk=16, grow=8, blocks=1, up=(16, 8), refine=24), (32, 32)),
)
