"""Every term of the distillation objective, one line each, in the order in which they are added up: its name here is
that of its weight, `distill.NAME_weight` or an entry of `distill.terms`."""

# ruff: noqa: F401, I001

from edgegan.training.terms import L1 as l1
from edgegan.training.terms import GRADIENT as gradient
from edgegan.training.terms import FEATURE as feature
from edgegan.training.terms import RELATION as relation
from edgegan.training.terms import PERCEPTUAL as perceptual
from edgegan.training.terms import GAN as gan
from edgegan.training.terms import DISCRIMINATOR_FEATURE as discriminator_feature
