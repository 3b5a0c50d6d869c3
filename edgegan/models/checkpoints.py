"""Public checkpoints into our families and back: recognised from their keys, every key accounted for by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from edgegan.errors import CheckpointError, ConfigError, first_problem, nearest
from edgegan.models.matching import Imported, expected_state
from edgegan.models.normed_weights import fold_normed, unfold_normed
from edgegan.models.readings import USUAL, Reading, apply_reading, as_stated
from edgegan.models.zoo import FAMILIES
from edgegan.weights import State, read_state

__all__ = ["Imported", "import_checkpoint", "public_state", "read_state"]


def import_checkpoint(
    path: Path,
    family: str | None = None,
    *,
    widths: str | None = None,
    legacy: bool = False,
    upsampling: str | None = None,
    part: str | None = None,
    reading: Reading = USUAL,
) -> Imported:
    """Reads a checkpoint and maps it onto a family, recognised from its keys unless forced.

    `widths` is a GAN Compression config such as 32_32_48_32_48_48_16_16: a super net is cut to that
    sub-network, a sub net is checked against it; `legacy` reads it by the rule of the paper's
    edges2shoes net. `upsampling`, "more" or "normal", is SPADE's. `part` is the generator
    to take of a file with several, `reading` what the weights do not tell. Raises CheckpointError listing
    missing, unexpected and misshapen keys in the checkpoint's own names, ConfigError for an option
    that does not fit the family.
    """
    notes: list[str] = []
    source = read_state(path, part, notes)
    state, normed = fold_normed(source, path, notes)
    if family is not None and family not in FAMILIES:
        raise ConfigError(
            f"unknown family '{family}'{nearest(family, FAMILIES)}; families: {', '.join(FAMILIES)}; "
            "for a generator of your own give --generator package.module:factory"
        )
    recognised = recognise(state)
    if family is None and recognised is None:
        known = ", ".join(each.keymap.example for each in FAMILIES.values())
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
        stated = as_stated(state, name, reading, path)
        imported = FAMILIES[name].keymap.read(stated, path)
        if imported.family != name:
            raise ConfigError(
                f"family {name}: its key map says family '{imported.family}'; both need one name"
            )
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: its shapes make no {name} generator ({first_problem(error)}); is it complete?"
        ) from error
    layout = {**imported.layout, "normed": normed}
    changes = [*notes, *imported.changes]
    imported = replace(imported, changes=changes, layout=layout, source=source)
    imported = apply_reading(imported, reading, path)
    if upsampling is not None:
        imported = set_upsampling(imported, upsampling)
    return cut_to_widths(imported, widths, path, legacy=legacy) if widths else imported


def public_state(imported: Imported) -> State:
    """The state dict in the layout that the public tool reads: the inverse of `import_checkpoint`.

    A student of ours can go the same way: `Imported(family, spec, module.state_dict())`.
    """
    written = FAMILIES[imported.family].keymap.write(imported)
    return unfold_normed(written, imported.layout.get("normed", {}))


def recognise(state: State) -> str | None:
    """The family whose public key names these are, or None."""
    for name, family in FAMILIES.items():
        if family.keymap.recognises(state):
            return name
    return None


def set_upsampling(imported: Imported, upsampling: str) -> Imported:
    """SPADE with the number of doublings that the user states."""
    has_it = "upsampling" in type(imported.spec).model_fields
    if not has_it or upsampling not in ("more", "normal"):
        raise ConfigError(
            f"upsampling '{upsampling}' for family {imported.family}: only spade has it, "
            "as more or normal"
        )
    spec = imported.spec.model_copy(update={"upsampling": upsampling})
    changes = [line for line in imported.changes if not line.startswith("upsampling")]
    return replace(imported, spec=spec, changes=[*changes, f"upsampling '{upsampling}' as given"])


def cut_to_widths(imported: Imported, widths: str, path: Path, *, legacy: bool) -> Imported:
    """The sub-network of a width config: the leading channels of every tensor, as the super net was trained."""
    keymap = FAMILIES[imported.family].keymap
    spec = keymap.sub_network(imported.spec, widths, legacy) if keymap.sub_network else None
    if spec is None:
        raise ConfigError(
            f"width config '{widths}': {path} has none; only gan-compression's mobile ResNet and SPADE nets do"
        )
    if spec == imported.spec:
        return imported
    wanted = expected_state(spec)
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
    layout = imported.layout | keymap.cut_layout(imported.state)
    return replace(imported, spec=spec, state=state, changes=changes, layout=layout)
