"""Discriminators from public files: PatchGAN of CycleGAN, pix2pix and GAN Slimming, and SPADE's of several scales."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from pydantic import ValidationError

from edgegan.errors import CheckpointError
from edgegan.models.discriminator import (
    MultiscaleDiscriminator,
    MultiscaleSpec,
    PatchDiscriminator,
    PatchSpec,
    judges_pairs,
)
from edgegan.models.matching import count_up, rename, shape_of
from edgegan.weights import State, read_checkpoint, state_in

SCALE, PART = "discriminator_", "netD"
PARAMETRIZED = "parametrizations.weight"


def import_discriminator(
    path: Path, channels: tuple[int, int] = (3, 3)
) -> tuple[PatchSpec | MultiscaleSpec, State]:
    """A discriminator in a public layout: model.0, model.2, model.5, ... (PatchGAN), or discriminator_0.model0.0, ...
    (SPADE, GAN Compression's GauGAN).

    A PatchGAN whose InstanceNorm has scales is GAN Slimming's, which judges by the mean over its patches. `channels` go
    into and out of the generator beside it. Raises CheckpointError, or ConfigError where it is not that generator's.
    """
    state = read_judge(path)
    if f"{SCALE}0.model0.0.weight" in state:
        return read_multiscale(state, path, channels)
    return read_patch(state, path, channels)


def read_judge(path: Path) -> State:
    """The state dict of the file, or its part of the usual name, as in a whole training's checkpoint."""
    raw = read_checkpoint(path)
    inside = isinstance(raw, Mapping) and isinstance(raw.get(PART), Mapping)
    return state_in(raw, path, PART if inside else None)


def read_patch(state: State, path: Path, channels: tuple[int, int]) -> tuple[PatchSpec, State]:
    """PatchGAN's."""
    first = shape_of(state, "model.0.weight", path)
    conditional = judges_pairs(int(first[1]), channels, path)
    weights = [key for key, value in state.items() if key.endswith(".weight") and value.dim() == 4]
    batch = any(key.endswith("running_mean") for key in state)
    scaled = any(key.endswith(".weight") and value.dim() == 1 for key, value in state.items())
    try:
        spec = PatchSpec(
            in_channels=first[1],
            ndf=first[0],
            layers=len(weights) - 2,
            norm="batch" if batch else "instance_affine" if scaled else "instance",
            conditional=conditional,
            mean=scaled and not batch,
        )
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has {len(weights)} convolutions, not those of a PatchGAN discriminator; "
            "give the file that ends in _net_D.pth"
        ) from error
    expected = PatchDiscriminator(spec).state_dict()
    names = {key: key for key in expected}
    return spec, rename(state, names, expected, path, lambda _own: False)


def read_multiscale(
    state: State, path: Path, channels: tuple[int, int]
) -> tuple[MultiscaleSpec, State]:
    """SPADE's: spectral norm between the ends, InstanceNorm without parameters behind it."""
    first = shape_of(state, f"{SCALE}0.model0.0.weight", path)
    judges_pairs(int(first[1]), channels, path, always=True)
    scales = count_up(lambda index: f"{SCALE}{index}.model0.0.weight" in state)
    layers = count_up(lambda index: has_layer(state, f"{SCALE}0.model{index}."))
    try:
        spec = MultiscaleSpec(
            in_channels=first[1],
            ndf=first[0],
            layers=layers - 1,
            scales=scales,
            spectral_ends=False,
        )
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has {scales} scales of {layers} convolutions, not those of SPADE's discriminator; give the file "
            "that ends in _net_D.pth"
        ) from error
    expected = MultiscaleDiscriminator(spec).state_dict()
    names = {own: public_name(own, spec) for own in expected}
    return spec, rename(with_vectors(state), names, expected, path, lambda _own: False)


def has_layer(state: State, prefix: str) -> bool:
    """Whether there is a layer of this number."""
    return any(key.startswith(prefix) for key in state)


def public_name(own: str, spec: MultiscaleSpec) -> str:
    """Our key -> the public key."""
    _, scale, rest = own.split(".", 2)
    if rest.startswith("score."):
        return f"{SCALE}{scale}.model{spec.layers}.0.{rest.removeprefix('score.')}"
    _, index, _, leaf = rest.split(".", 3)
    if index == "0":
        return f"{SCALE}{scale}.model0.0.{leaf}"
    vectors = {f"{PARAMETRIZED}.original": "weight_orig"}
    vectors |= {f"{PARAMETRIZED}.0._{each}": f"weight_{each}" for each in "uv"}
    return f"{SCALE}{scale}.model{index}.0.0.{vectors.get(leaf, leaf)}"


def with_vectors(state: State) -> State:
    """The state with the second vector of power iteration, which old files of spectral norm leave out."""
    found = dict(state)
    for key, left in state.items():
        name = key.removesuffix("weight_u")
        weight = state.get(f"{name}weight_orig")
        if name != key and weight is not None and left.shape == weight.shape[:1]:
            right = F.normalize(weight.flatten(1).T @ left, dim=0, eps=1e-12)
            found.setdefault(f"{name}weight_v", right)
    return found
