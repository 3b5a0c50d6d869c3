"""Public checkpoints into our families and back: recognised from their keys, every key accounted for by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from edgegan.errors import CheckpointError, ConfigError, first_problem, nearest
from edgegan.models.animegan import keymap as animegan
from edgegan.models.cartoon import keymap as cartoon
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.matching import Imported, expected_state, rename, shape_of
from edgegan.models.reading import State, read_state
from edgegan.models.resnet import keymap as resnet
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan import keymap as sngan
from edgegan.models.spade import keymap as spade
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.transformer_net import keymap as transformer_net
from edgegan.models.unet import keymap as unet

__all__ = ["Imported", "import_checkpoint", "import_discriminator", "public_state", "read_state"]


@dataclass(frozen=True)
class Keymap:
    """One family's public form: how its keys are recognised, read into ours, and written back."""

    recognises: Callable[[State], bool]
    read: Callable[[State, Path], Imported]
    write: Callable[[Imported], State]
    example: str


KEYMAPS = {
    "cartoon": Keymap(cartoon.recognises, cartoon.read, cartoon.write, cartoon.EXAMPLE),
    "resnet": Keymap(resnet.recognises, resnet.read, resnet.write, resnet.EXAMPLE),
    "unet": Keymap(unet.recognises, unet.read, unet.write, unet.EXAMPLE),
    "spade": Keymap(spade.recognises, spade.read, spade.write, spade.EXAMPLE),
    "transformer_net": Keymap(
        transformer_net.recognises,
        transformer_net.read,
        transformer_net.write,
        transformer_net.EXAMPLE,
    ),
    "animegan": Keymap(animegan.recognises, animegan.read, animegan.write, animegan.EXAMPLE),
    "sngan": Keymap(sngan.recognises, sngan.read, sngan.write, sngan.EXAMPLE),
}


def import_checkpoint(
    path: Path,
    family: str | None = None,
    *,
    widths: str | None = None,
    legacy: bool = False,
    upsampling: str | None = None,
) -> Imported:
    """Reads a checkpoint and maps it onto a family, recognised from its keys unless forced.

    `widths` is a GAN Compression config such as 32_32_48_32_48_48_16_16: a super net is cut to that
    sub-network, a sub net is checked against it; `legacy` reads it by the rule of the paper's
    edges2shoes net. `upsampling`, "more" or "normal", is SPADE's. Raises CheckpointError listing
    missing, unexpected and misshapen keys in the checkpoint's own names, ConfigError for an option
    that does not fit the family.
    """
    state = read_state(path)
    if family is not None and family not in KEYMAPS:
        raise ConfigError(
            f"unknown family '{family}'{nearest(family, KEYMAPS)}; families: {', '.join(KEYMAPS)}; "
            "for a generator of your own give --generator package.module:factory"
        )
    recognised = recognise(state)
    if family is None and recognised is None:
        known = ", ".join(keymap.example for keymap in KEYMAPS.values())
        raise CheckpointError(
            f"{path}: no family has keys like '{next(iter(state))}'; supported: {known}"
        )
    if family is not None and recognised is not None and family != recognised:
        raise CheckpointError(
            f"{path} is a '{recognised}' generator, not '{family}'; drop --family or give "
            f"--family {recognised}"
        )
    name = family or recognised or ""
    try:
        imported = KEYMAPS[name].read(state, path)
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: its shapes make no {name} generator ({first_problem(error)}); is it complete?"
        ) from error
    if upsampling is not None:
        imported = set_upsampling(imported, upsampling)
    return cut_to_widths(imported, widths, path, legacy=legacy) if widths else imported


def public_state(imported: Imported) -> State:
    """The state dict in the layout that the public tool reads: the inverse of `import_checkpoint`.

    A student of ours can go the same way: `Imported(family, spec, module.state_dict())`.
    """
    return KEYMAPS[imported.family].write(imported)


def recognise(state: State) -> str | None:
    """The family whose public key names these are, or None."""
    for name, keymap in KEYMAPS.items():
        if keymap.recognises(state):
            return name
    return None


def set_upsampling(imported: Imported, upsampling: str) -> Imported:
    """SPADE with the number of doublings that the user states."""
    if not isinstance(imported.spec, SpadeSpec) or upsampling not in ("more", "normal"):
        raise ConfigError(
            f"upsampling '{upsampling}' for family {imported.family}: only spade has it, "
            "as more or normal"
        )
    spec = imported.spec.model_copy(update={"upsampling": upsampling})
    changes = [line for line in imported.changes if not line.startswith("upsampling")]
    return replace(imported, spec=spec, changes=[*changes, f"upsampling '{upsampling}' as given"])


def cut_to_widths(imported: Imported, widths: str, path: Path, *, legacy: bool) -> Imported:
    """The sub-network of a width config: the leading channels of every tensor, as the super net was trained."""
    spec = sub_spec(imported.spec, widths, legacy=legacy)
    if spec is None or getattr(imported.spec, "block", "dense") != "separable":
        raise ConfigError(
            f"{path} has no width config: only gan-compression's mobile ResNet and SPADE nets do"
        )
    if spec == imported.spec:
        return imported
    wanted = expected_state(imported.family, spec)
    state: State = {}
    for key, target in wanted.items():
        value = imported.state.get(key)
        if value is None or any(
            have < want for have, want in zip(value.shape, target.shape, strict=True)
        ):
            have = "nothing" if value is None else tuple(value.shape)
            raise CheckpointError(
                f"{path}: config {widths} wants {tuple(target.shape)} of '{key}', the checkpoint "
                f"has {have}; give the config it was exported with, or the super net"
            )
        state[key] = value[tuple(slice(side) for side in target.shape)].clone()
    changes = [*imported.changes, f"cut to the sub-network {widths}"]
    layout = dict(imported.layout)
    if imported.family == "spade":
        layout["statistics"] = spade.statistics_lengths(imported.state)
    return replace(imported, spec=spec, state=state, changes=changes, layout=layout)


def sub_spec(spec: BaseModel, widths: str, *, legacy: bool) -> BaseModel | None:
    """The spec of a width config with the input, output and norm of `spec`; None for a family without configs."""
    if isinstance(spec, ResnetSpec):
        kept = spec.model_dump(
            include={"in_channels", "out_channels", "norm", "separable_norm", "dropout"}
        )
        return ResnetSpec.from_config(widths, legacy=legacy, **kept)
    if isinstance(spec, SpadeSpec):
        kept = spec.model_dump(
            include={"classes", "instance_edge", "out_channels", "upsampling", "norm"}
        )
        return SpadeSpec.from_config(widths, **kept)
    return None


def import_discriminator(path: Path) -> tuple[PatchSpec, State]:
    """A PatchGAN discriminator in the public layout (model.0, model.2, model.5, ...).

    Taken as conditional when it judges more than three channels. Raises CheckpointError.
    """
    state = read_state(path)
    first = shape_of(state, "model.0.weight", path)
    weights = [key for key, value in state.items() if key.endswith(".weight") and value.dim() == 4]
    batch = any(key.endswith("running_mean") for key in state)
    try:
        spec = PatchSpec(
            in_channels=first[1],
            ndf=first[0],
            layers=len(weights) - 2,
            norm="batch" if batch else "instance",
            conditional=first[1] > 3,
        )
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has {len(weights)} convolutions, not those of a PatchGAN discriminator; "
            "give the file that ends in _net_D.pth"
        ) from error
    expected = PatchDiscriminator(spec).state_dict()
    names = {key: key for key in expected}
    return spec, rename(state, names, expected, path, lambda _own: False)
