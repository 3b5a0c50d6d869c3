"""ESRGAN and Real-ESRGAN: conv_first, body.0.rdb1.conv1, conv_body, conv_up1, conv_hr, conv_last; the older names
RRDB_trunk.0.RDB1.conv1, trunk_conv, upconv1, HRconv; and model.0, model.1.sub.0.RDB1.conv1.0, model.3 ..."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from edgegan.errors import CheckpointError
from edgegan.models.matching import Imported, adopt, count_up, give_back, shape_of
from edgegan.models.rrdbnet.network import RrdbSpec
from edgegan.weights import State

EXAMPLE = "ESRGAN (conv_first.weight, body.0.rdb1.conv1.weight ...)"
Shift = Callable[[torch.Tensor], torch.Tensor]
FORMS = ("new", "old", "first")
NAMES = {
    "new": {"up1": "conv_up1", "up2": "conv_up2"},
    "old": {"conv_body": "trunk_conv", "up1": "upconv1", "up2": "upconv2", "conv_hr": "HRconv"},
    "first": {
        "conv_first": "model.0",
        "up1": "model.3",
        "up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    },
}


def recognises(state: State) -> bool:
    """Whether these are its keys, in one of three forms."""
    return form_of(state) is not None


def form_of(state: State) -> str | None:
    """Which of the forms the keys are in."""
    block = "body.0.rdb1.conv1.weight"
    return next((form for form in FORMS if to_public(block, form, 0) in state), None)


def to_public(own: str, form: str, blocks: int) -> str:
    """Our key -> the public key of a form, for a net of so many blocks."""
    module, leaf = own.rsplit(".", 1)
    inside = re.fullmatch(r"body\.(\d+)\.rdb(\d)\.(conv\d)", module)
    if inside and form == "old":
        return f"RRDB_trunk.{inside[1]}.RDB{inside[2]}.{inside[3]}.{leaf}"
    if inside and form == "first":
        return f"model.1.sub.{inside[1]}.RDB{inside[2]}.{inside[3]}.0.{leaf}"
    if form == "first" and module == "conv_body":
        return f"model.1.sub.{blocks}.{leaf}"
    return f"{NAMES[form].get(module, module)}.{leaf}"


def read(state: State, path: Path) -> Imported:
    """Values 0..1 become [-1, 1]: the change of the output goes into the last convolution."""
    form = form_of(state)
    assert form is not None
    blocks = count_up(lambda index: to_public(f"body.{index}.rdb1.conv1.weight", form, 0) in state)
    names = partial(to_public, form=form, blocks=blocks)

    def width(own: str, axis: int = 0) -> int:
        return int(shape_of(state, names(f"{own}.weight"), path)[axis])

    made, entries = width("conv_last"), width("conv_first", 1)
    unshuffle = math.isqrt(entries // made)
    if entries != made * unshuffle**2 or unshuffle not in (1, 2, 4):
        raise CheckpointError(
            f"{path}: key '{names('conv_first.weight')}' reads {entries} channels and the picture has {made}: no net "
            "of 4x, 2x or 1x; import it as a generator of your own with --generator"
        )
    changes = ["values 0..1 folded into the ends (exact): now [-1, 1]"]
    if unshuffle > 1:
        changes.append(f"squares of {unshuffle}x{unshuffle} pixels are read as channels")
    spec = RrdbSpec(
        in_channels=made,
        out_channels=made,
        trunk=width("conv_first"),
        grow=width("body.0.rdb1.conv1"),
        blocks=blocks,
        up=(width("up1"), width("up2")),
        refine=width("conv_hr"),
        unshuffle=unshuffle,
    )
    imported = adopt(Imported("rrdbnet", spec, state, changes, {"form": form}), names, path)
    imported.state.update(folded(imported.state, lambda bias: bias * 2 - 1, 2.0))
    return imported


def write(imported: Imported) -> State:
    """The public state dict, for values 0..1 again."""
    assert isinstance(imported.spec, RrdbSpec)
    state = {**imported.state, **folded(imported.state, lambda bias: (bias + 1) / 2, 0.5)}
    form = imported.layout.get("form", "new")
    names = partial(to_public, form=form, blocks=imported.spec.blocks)
    return give_back(Imported("rrdbnet", imported.spec, state, [], imported.layout), names)


def folded(state: State, shift: Shift, factor: float) -> State:
    """The last convolution with other values out."""
    weight, bias = state["conv_last.weight"], state["conv_last.bias"]
    return {"conv_last.weight": weight * factor, "conv_last.bias": shift(bias)}
