"""CartoonGAN generators."""

from edgegan.models.cartoon import keymap
from edgegan.models.cartoon.network import CartoonSpec
from edgegan.models.contract import Family, Keymap, Published

FAMILY = Family(
    name="cartoon",
    spec=CartoonSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published("cartoongan", CartoonSpec(), (256, 256), "CartoonGAN (Chen et al. 2018)"),
    ),
    trial=(CartoonSpec().scaled(0.25, 8, "separable", "batch"), (128, 128)),
)
