"""What a student takes over from its teacher: the discriminator, and the network that looks at its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.metrics.perceptual import Perceptual, open_perceptual, perceptual_loss
from edgegan.metrics.published_losses import style_loss, usual_loss
from edgegan.models.discriminator import MultiscaleSpec, PatchSpec
from edgegan.models.judges import JudgeSpec, build_judge, load_judge
from edgegan.models.own_features import OWN_NETWORKS, own_network
from edgegan.models.zoo import parse_spec
from edgegan.package import read_config
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.schema import Recipe
from edgegan.training.teachers.parts import judge_spec

SMALL = 64  # sides below which a PatchGAN of three halvings sees little
STYLE = "-style"
FILES = ("vgg16", "vgg19", "squeezenet", "vgg16-style", "squeezenet-style")


@dataclass(frozen=True)
class Inherited:
    """The discriminator with its spec, and the perceptual term; None where the student is trained without.

    `teacher_is_real`: the discriminator takes the teacher's pictures for real even where there are true ones.
    """

    judge: tuple[JudgeSpec, nn.Module] | None = None
    perceptual: Perceptual | None = None
    teacher_is_real: bool = False


def inherits_judge(settings: Distill) -> bool:
    """Whether the student is trained with its teacher's discriminator."""
    return settings.gan_weight > 0 and settings.discriminator == "inherited"


def inherit(teacher: Path, recipe: Recipe, taps: list[str], device: torch.device) -> Inherited:
    """The teacher's discriminator, or a fresh one, and the network of the perceptual term, where their weights are not
    0."""
    settings = recipe.distill
    judge = load_judge(teacher) if inherits_judge(settings) else None
    if judge is not None and settings.discriminator_feature_weight > 0:
        check_features(judge[0], teacher)
    if settings.gan_weight > 0 and judge is None:
        judge = fresh_judge(teacher, recipe)
    perceptual = None
    if settings.perceptual_weight > 0:
        perceptual = perceptual_term(teacher, settings, taps, device)
    return Inherited(judge, perceptual)


def check_features(spec: JudgeSpec, teacher: Path) -> None:
    """Raises ConfigError for a discriminator that gives no features."""
    if not isinstance(spec, PatchSpec | MultiscaleSpec):
        raise ConfigError(
            f"distill.discriminator_feature_weight: the discriminator of {teacher} ({spec.kind}) gives no features; "
            "set it to 0"
        )


def fresh_judge(teacher: Path, recipe: Recipe) -> tuple[JudgeSpec, nn.Module]:
    """The discriminator with which the recipe's teacher would be trained, with random weights; smaller for pictures too
    small for it."""
    config = read_config(teacher)
    pairs = recipe.data.kind in ("paired", "labels")
    method = recipe.train.method or ("pix2pix" if pairs else "cyclegan")
    train = recipe.train.model_copy(update={"method": method})
    spec = judge_spec(train, parse_spec(config.family, config.spec))
    if isinstance(spec, PatchSpec) and min(config.size) < SMALL:
        spec = spec.model_copy(update={"layers": 1})
    torch.manual_seed(recipe.seed)
    return spec, build_judge(spec)


def perceptual_term(
    teacher: Path, settings: Distill, taps: list[str], device: torch.device
) -> Perceptual:
    """The term that `distill.perceptual` names; raises ConfigError where its network cannot judge pictures alone."""
    name, key = settings.perceptual, "distill.perceptual"
    if name in OWN_NETWORKS:
        channels = read_config(teacher).output.channels
        return perceptual_loss(own_network(name, teacher, channels, key, taps=taps, device=device))
    kind, separator, file = name.partition(":")
    if not separator or kind not in FILES:
        forms = ", ".join(f"{each}:FILE" for each in FILES)
        raise ConfigError(f"{key} '{name}': write teacher, discriminator, {forms}")
    network = kind.removesuffix(STYLE)
    found = open_perceptual(Path(file), device=device)
    if not found.name.startswith(network):
        raise ConfigError(f"{key} '{name}': {file} holds {found.name}")
    if not kind.endswith(STYLE):
        return usual_loss(found)
    if network == "squeezenet":
        say("the style term looks through SqueezeNet, which stands in for the published VGG16")
    return style_loss(found)
