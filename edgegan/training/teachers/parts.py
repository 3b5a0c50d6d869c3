"""The networks of a method: specs from the recipe, published initialisation, and what is saved between runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from edgegan.errors import ConfigError
from edgegan.models.discriminator import MultiscaleSpec, PatchSpec
from edgegan.models.judges import JudgeSpec
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganDiscriminatorSpec, SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build, change_spec
from edgegan.package import InputIO, LabelMapIO
from edgegan.recipe.data_section import Data
from edgegan.recipe.train_section import Train
from edgegan.training.checkpoint import Stateful, restore_parts, state_of
from edgegan.training.optimizers import set_rate
from edgegan.training.schedule import Schedule
from edgegan.training.teachers.pool import ImagePool

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)


def label_io(data: Data) -> LabelMapIO:
    """What a generator of label maps is fed."""
    return LabelMapIO(classes=data.label_classes, instance_edge=data.instances is not None)


def generator_io(data: Data) -> InputIO | None:
    """The input of the package where the family's spec does not tell: None for pictures and noise."""
    return label_io(data) if data.kind == "labels" else None


def generator_spec(train: Train, data: Data) -> tuple[str, Spec]:
    """Family and spec of the generator; raises ConfigError for a spec field that does not exist."""
    if train.method == "gaugan":
        family, labels = "spade", label_io(data)
        base: Spec = SpadeSpec.from_ngf(
            train.ngf, classes=labels.classes, instance_edge=labels.instance_edge
        )
    elif train.method == "sngan":
        blocks = round_log2(data.size)
        widths = (4 * train.ngf,) * blocks
        family, base = "sngan", SnganSpec(stem=4 * train.ngf, width=widths, inner=widths)
    else:
        family = train.generator
        inputs = {"in_channels": label_io(data).channels} if data.kind == "labels" else {}
        if family == "unet":
            base = UnetSpec.from_ngf(train.ngf, train.depth or 8, **inputs)
        else:
            base = ResnetSpec.from_ngf(train.ngf, train.depth or 9, **inputs)
    return family, change_spec(family, base, train.spec, "train.spec")


def round_log2(size: tuple[int, int]) -> int:
    """Doublings from 4x4 to the image; raises ConfigError for a size that is none."""
    doublings = max(1, (size[0] // 4).bit_length() - 1)
    if size != (4 * 2**doublings,) * 2:
        raise ConfigError(
            f"data.size {size[0]}x{size[1]}: sngan makes squares of 8, 16, 32, 64, ... pixels"
        )
    return doublings


def judge_spec(train: Train, generator: Spec) -> JudgeSpec:
    """The discriminator that goes with a generator."""
    takes, gives = generator.in_channels, generator.out_channels
    if train.method == "gaugan":
        return MultiscaleSpec(
            in_channels=takes + gives,
            ndf=train.ndf,
            layers=train.discriminator_layers,
            scales=train.discriminator_scales,
            spectral_ends=False,
        )
    if train.method == "sngan":
        return SnganDiscriminatorSpec(in_channels=gives, ndf=train.ndf)
    conditional = train.method == "pix2pix"
    return PatchSpec(
        in_channels=gives + takes * conditional,
        ndf=train.ndf,
        layers=train.discriminator_layers,
        norm="batch" if generator.norm == "batch" else "instance",
        conditional=conditional,
    )


def initialise_as_published(module: nn.Module, method: str) -> None:
    """Weights as the method's authors set them: normal of deviation 0.02 (pix2pix, CycleGAN), Xavier normal with gain
    0.02 (SPADE), Xavier uniform (SNGAN); zero biases; norm scales normal around 1 where they are learnt."""
    for layer in module.modules():
        if isinstance(layer, CONVOLUTIONS):
            weight = raw_weight(layer)
            if method == "sngan":
                nn.init.xavier_uniform_(weight)
            elif method == "gaugan":
                nn.init.xavier_normal_(weight, gain=0.02)
            else:
                nn.init.normal_(weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, NORMS) and layer.affine and method in ("pix2pix", "cyclegan"):
            nn.init.normal_(layer.weight, 1.0, 0.02)


def raw_weight(layer: nn.Module) -> torch.Tensor:
    """The weight that is trained: under a spectral norm not the one that is used."""
    if parametrize.is_parametrized(layer, "weight"):
        return dict(layer.named_parameters())["parametrizations.weight.original"]
    return dict(layer.named_parameters())["weight"]


def add_spectral(generator: nn.Module) -> None:
    """Spectral norm on the convolutions of a SPADE generator's residual blocks."""
    for name, layer in generator.named_modules():
        if name.rsplit(".", 1)[-1] in ("conv1", "conv2", "shortcut") and isinstance(
            layer, nn.Conv2d
        ):
            spectral_norm(layer)


def plain_copy(generator: nn.Module, family: str, spec: Spec) -> nn.Module:
    """The generator on the CPU in evaluation mode, its spectral norms folded into plain weights."""
    state = generator.eval().state_dict()
    for name, layer in generator.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            state = {key: v for key, v in state.items() if not key.startswith(f"{name}.param")}
            state[f"{name}.weight"] = layer.weight.detach()  # type: ignore[union-attr, operator]
    plain = build(family, spec)
    plain.load_state_dict(state)
    return plain.eval()


@dataclass
class Parts:
    """Everything that a step changes: networks by name, Adam over all generators and over all discriminators, whose
    full learning rate is `judges_rate`, and image pools."""

    modules: dict[str, nn.Module]
    optimizer: torch.optim.Adam
    judges_optimizer: torch.optim.Adam
    judges_rate: float
    pools: dict[str, ImagePool]

    def set_rates(self, schedule: Schedule, step: int) -> None:
        """Learning rates of a step; the discriminators' rises and falls as the generators'."""
        set_rate(self.optimizer, schedule.rate(step))
        set_rate(
            self.judges_optimizer, replace(schedule, learning_rate=self.judges_rate).rate(step)
        )

    def parts(self) -> dict[str, Stateful]:
        """All of it by name."""
        adams = {"optimizer": self.optimizer, "judges_optimizer": self.judges_optimizer}
        return {**self.modules, **adams, **self.pools}

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs after this many steps."""
        return state_of(self.parts(), step)

    def restore(self, state: dict[str, Any]) -> int:
        """Takes back a state; returns the number of steps done."""
        return restore_parts(self.parts(), state)


def make_parts(
    train: Train,
    generators: dict[str, nn.Module],
    judges: dict[str, nn.Module],
    pools: dict[str, ImagePool] | None = None,
) -> Parts:
    """Parts with the optimisers that the recipe sets (Adam)."""
    judges_rate = train.discriminator_learning_rate or train.learning_rate
    optimizer, judges_optimizer = (
        torch.optim.Adam(
            [parameter for module in group.values() for parameter in module.parameters()],
            rate,
            betas=(train.beta1, train.beta2),
        )
        for group, rate in ((generators, train.learning_rate), (judges, judges_rate))
    )
    return Parts({**generators, **judges}, optimizer, judges_optimizer, judges_rate, pools or {})
