"""White-box cartoonisation."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.whitebox import keymap
from edgegan.models.whitebox.network import WhiteboxSpec

FAMILY = Family(
    name="whitebox",
    spec=WhiteboxSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published(
            "whitebox_cartoon",
            WhiteboxSpec(),
            (256, 256),
            "White-box cartoonisation (Wang, Yu 2020)",
        ),
    ),
    trial=(WhiteboxSpec().scaled(0.25, 4, "separable", "batch"), (32, 32)),
)
