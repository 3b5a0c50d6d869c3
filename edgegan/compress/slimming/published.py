"""The published minimax objective, in the terms of the distillation module.

Published (Wang et al., ECCV 2020): min over weights W and scales g, max over the discriminator D, of
L_GAN(q(W), g, D) + beta * L_dist(q(W), g) + rho * |g|_1, with q the quantizer. As released, D takes the teacher's
images for real and a buffer of the last fifty student images for fake.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgegan.compress.inherited import fresh_judge
from edgegan.models.judges import JudgeSpec, load_judge
from edgegan.package import read_config
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.schema import Recipe
from edgegan.recipe.slim_section import Slim
from edgegan.training.objective import weights_of


def published_weights(settings: Distill, slimming: Slim) -> dict[str, float]:
    """Distillation terms times beta, and the adversarial weight of the published form."""
    weights = {name: slimming.beta * weight for name, weight in weights_of(settings).items()}
    return {**weights, "gan": slimming.gan_weight}


def published_judge(teacher: Path, recipe: Recipe) -> tuple[JudgeSpec, nn.Module]:
    """The discriminator that a teacher's package keeps, or a fresh PatchGAN where it keeps none."""
    if read_config(teacher).discriminator is not None:
        return load_judge(teacher)
    return fresh_judge(teacher, recipe)
