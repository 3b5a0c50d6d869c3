"""Every kind of discriminator that a package keeps: PatchGAN, multiscale (SPADE), SNGAN's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from edgegan.errors import CheckpointError, InputError, first_problem
from edgegan.models.discriminator import (
    MultiscaleDiscriminator,
    MultiscaleSpec,
    PatchDiscriminator,
    PatchSpec,
    judges_pairs,
)
from edgegan.models.sngan.network import SnganDiscriminator, SnganDiscriminatorSpec
from edgegan.models.zoo import refuse_unweighed
from edgegan.package import read_config, read_tensors

JudgeSpec = PatchSpec | MultiscaleSpec | SnganDiscriminatorSpec
SPECS: TypeAdapter[JudgeSpec] = TypeAdapter(Annotated[JudgeSpec, Field(discriminator="kind")])


def build_judge(spec: JudgeSpec) -> nn.Module:
    """A discriminator with fresh weights."""
    if isinstance(spec, MultiscaleSpec):
        return MultiscaleDiscriminator(spec)
    if isinstance(spec, SnganDiscriminatorSpec):
        return SnganDiscriminator(spec)
    return PatchDiscriminator(spec)


def parse_judge(spec: dict[str, Any]) -> JudgeSpec:
    """The spec in a package's config.json; one without a kind is a PatchGAN's. Raises ValidationError."""
    return SPECS.validate_python({"kind": "patch", **spec})


def load_judge(folder: Path) -> tuple[JudgeSpec, nn.Module]:
    """A package's kept discriminator of any kind, in training mode; raises InputError when it has none. The channels
    that it sees tell whether it is conditional, whatever an earlier import wrote."""
    config = read_config(folder)
    if config.discriminator is None:
        raise InputError(
            f"{folder} keeps no discriminator; import it with --discriminator CKPT, or set distill.gan_weight to 0"
        )
    try:
        spec = parse_judge(config.discriminator)
    except ValidationError as error:
        raise InputError(f"{folder}/config.json: discriminator: {first_problem(error)}") from error
    if isinstance(spec, PatchSpec):
        ends = config.input.channels, config.output.channels
        spec = spec.model_copy(update={"conditional": judges_pairs(spec.in_channels, ends, folder)})
    weights = read_tensors(folder, config, "discriminator.safetensors")
    refuse_unweighed(lambda: build_judge(spec), weights, folder)
    module = build_judge(spec)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: discriminator.safetensors does not fit its config.json ({error})"
        ) from error
    return spec, module


def is_conditional(spec: JudgeSpec) -> bool:
    """Whether it judges input and output together."""
    return spec.conditional if isinstance(spec, PatchSpec) else isinstance(spec, MultiscaleSpec)


def judged(spec: JudgeSpec, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """What a discriminator sees: the image, beside the input when it is conditional."""
    return torch.cat([x, image], 1) if is_conditional(spec) else image


def verdicts(result: Any) -> list[torch.Tensor]:
    """The scores in what any discriminator returns, one tensor for each scale."""
    return [maps[-1] for maps in result] if isinstance(result, list) else [result]


def inner_maps(result: Any) -> list[list[torch.Tensor]]:
    """The features before the scores, for each scale; none where a discriminator gives its scores alone."""
    return [maps[:-1] for maps in result] if isinstance(result, list) else [[]]


def feature_maps(module: nn.Module, seen: torch.Tensor) -> list[list[torch.Tensor]]:
    """A discriminator's features of what it sees (N, C, H, W), before the scores, for each scale: of one that gives its
    scores alone, what comes out of its activations."""
    if not isinstance(module, PatchDiscriminator):
        return inner_maps(module(seen))
    maps = []
    for layer in list(module.model)[:-1]:
        seen = layer(seen)
        if isinstance(layer, nn.LeakyReLU):
            maps.append(seen)
    return [maps]
