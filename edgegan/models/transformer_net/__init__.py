"""Fast style transfer nets."""

from edgegan.models.contract import Family, Keymap, Published
from edgegan.models.transformer_net import keymap
from edgegan.models.transformer_net.network import TransformerSpec

FAMILY = Family(
    name="transformer_net",
    spec=TransformerSpec,
    keymap=Keymap(keymap.recognises, keymap.read, keymap.write, keymap.EXAMPLE),
    published=(
        Published(
            "transformer_net",
            TransformerSpec(),
            (256, 256),
            "Perceptual losses (Johnson et al. 2016)",
        ),
    ),
    trial=(TransformerSpec().scaled(0.5, 8, "separable", "batch"), (128, 128)),
)
