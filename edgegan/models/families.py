"""Every generator family, one line each, in the order they are listed in."""

# ruff: noqa: F401, I001

from edgegan.models.resnet import FAMILY as resnet
from edgegan.models.unet import FAMILY as unet
from edgegan.models.spade import FAMILY as spade
from edgegan.models.cartoon import FAMILY as cartoon
from edgegan.models.transformer_net import FAMILY as transformer_net
from edgegan.models.animegan import FAMILY as animegan
from edgegan.models.sngan import FAMILY as sngan
from edgegan.models.srgan import FAMILY as srgan
from edgegan.models.compact import FAMILY as compact
from edgegan.models.rrdbnet import FAMILY as rrdbnet
from edgegan.models.ugatit import FAMILY as ugatit
from edgegan.models.stargan import FAMILY as stargan
from edgegan.models.whitebox import FAMILY as whitebox
