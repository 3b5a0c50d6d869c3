"""Real-ESRGAN's compact generators."""

from edgegan.models.compact import keymap
from edgegan.models.compact.network import CompactSpec
from edgegan.models.contract import Family, Keymap, Published

FAMILY = Family(
    name="compact",
    spec=CompactSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published(
            "realesr_general_x4v3",
            CompactSpec(convs=(64,) * 33),
            (128, 128),
            "Real-ESRGAN (Wang et al. 2021), general x4 v3",
        ),
        Published(
            "realesr_animevideov3",
            CompactSpec(),
            (128, 128),
            "Real-ESRGAN (Wang et al. 2021), anime video v3",
        ),
    ),
    trial=(CompactSpec(convs=(16, 24, 8)), (32, 32)),
)
