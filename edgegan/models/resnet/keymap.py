"""ResNet generators of pytorch-CycleGAN-and-pix2pix and gan-compression (full, mobile, super, sub): model.1 ..."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgegan.errors import CheckpointError
from edgegan.models.blocks import FamilyNorm, Padding
from edgegan.models.matching import (
    Imported,
    adopt,
    drop_statistics,
    find_norm,
    give_back,
    shape_of,
)
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spec import Spec
from edgegan.weights import State

NAME = "conv_block"
BLOCK = re.compile(r"^(model\.\d+\.)(conv_block|block|model|layers|net|main)\.(?=\d)")
EXAMPLE = "CycleGAN, pix2pix and gan-compression ResNets (model.1.weight ...)"


def recognises(state: State) -> bool:
    """Whether these are their keys."""
    return "model.1.weight" in state and any(BLOCK.match(key) for key in state)


def one_name(state: State) -> tuple[State, str]:
    """The state with blocks named conv_block, and what they are named in the file."""
    found = next((match[2] for key in state if (match := BLOCK.match(key))), NAME)
    return {BLOCK.sub(rf"\1{NAME}.", key): value for key, value in state.items()}, found


def block_numbers(state: State, path: Path) -> list[int]:
    """Where residual blocks stand; raises CheckpointError when they are no row, naming other public forms."""
    matches = (re.match(r"model\.(\d+)\.conv_block\.", key) for key in state)
    block_ids = sorted({int(match[1]) for match in matches if match})
    if any(key.endswith(".filt") for key in state):
        raise CheckpointError(
            f"{path} is an antialiased ResNet (fixed blur filters named filt, as in contrastive translation), a form "
            "that family resnet does not read; give its class with --generator package.module:factory"
        )
    if block_ids != list(range(10, 10 + len(block_ids))):
        raise CheckpointError(
            f"{path}: residual blocks at model.{block_ids}, expected a row from model.10; "
            "is a block missing?"
        )
    return block_ids


def find_padding(state: State) -> tuple[Padding, int, int]:
    """The padding of blocks and the places of a block's two convolutions: zero padding has no layer of its own."""
    at = {
        int(match[1])
        for key in state
        if (match := re.match(r"model\.10\.conv_block\.(\d+)\.(conv\.0\.)?weight", key))
        and state[key].dim() == 4
    }
    if 0 in at:
        return "zero", 0, max(at)
    return "reflect", 1, 6 if 6 in at else 5


def read_norm(state: State, changes: list[str]) -> tuple[FamilyNorm, State]:
    """The norm, and the state without statistics that it does not use; no norm when neither it nor a bias is there."""
    norm: FamilyNorm = find_norm(state, "model.2")
    if norm == "instance" and "model.1.bias" not in state and "model.4.bias" not in state:
        return "none", state
    return norm, state if norm == "batch" else drop_statistics(state, changes)


def read(state: State, path: Path) -> Imported:
    """With or without the dropout entry that shifts block indices; dense or separable blocks of any name; padded or
    not; old running statistics of InstanceNorm layers are dropped."""
    changes: list[str] = []
    state, name = one_name(state)
    block_ids = block_numbers(state, path)
    separable = any(re.search(r"\.conv_block\.[01]\.conv\.0\.", key) for key in state)
    padding, first, second = find_padding(state)
    inside = find_norm(state, f"model.10.conv_block.{first}.conv.1")
    norm, state = read_norm(state, changes)
    if padding != "zero":
        changes.append("reflect padding of blocks assumed (the weights do not tell; --padding)")
    tail = 10 + len(block_ids)
    leaf = ".conv.2.weight" if separable else ".weight"

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, key, path)[axis])

    spec = ResnetSpec(
        in_channels=width("model.1.weight", 1),
        out_channels=width(f"model.{tail + 7}.weight"),
        stem=width("model.1.weight"),
        down=width("model.4.weight"),
        trunk=width("model.7.weight"),
        inner=tuple(width(f"model.{index}.conv_block.{first}{leaf}") for index in block_ids),
        up=(width(f"model.{tail}.weight", 1), width(f"model.{tail + 3}.weight", 1)),
        block="separable" if separable else "dense",
        norm=norm,
        padding=padding,
        separable_norm=inside if separable and inside != norm else None,
        dropout=0.5 if second - first == 5 and not separable else 0.0,
    )
    if padding == "zero" and second == 4:
        spec = spec.model_copy(update={"dropout": 0.0 if separable else 0.5})
    biasless = norm in ("batch", "none")
    layout = {"second": second, "first": first, "name": name}
    return adopt(
        Imported("resnet", spec, state, changes, layout),
        namer(len(block_ids), second, first),
        path,
        lambda own: biasless and own.endswith(".bias") and "norm" not in own,
    )


def write(imported: Imported) -> State:
    """The public state dict with the block indices it was read with; 6 for separable blocks, else 5, if it was not."""
    assert isinstance(imported.spec, ResnetSpec)
    usual = 6 if imported.spec.block == "separable" or imported.spec.dropout else 5
    first = 0 if imported.spec.padding == "zero" else 1
    second = imported.layout.get("second", usual - 2 * (1 - first))
    given = give_back(imported, namer(len(imported.spec.inner), second, first))
    name = imported.layout.get("name", NAME)
    return {BLOCK.sub(rf"\1{name}.", key): value for key, value in given.items()}


def sub_network(spec: Spec, config: str, legacy: bool) -> Spec | None:
    """The sub-network of a mobile ResNet that a width config means; None for other ResNets."""
    assert isinstance(spec, ResnetSpec)
    if spec.block != "separable":
        return None
    kept = {"in_channels", "out_channels", "norm", "separable_norm", "dropout"}
    return ResnetSpec.from_config(config, legacy=legacy, **spec.model_dump(include=kept))


def namer(blocks: int, second: int, first: int = 1) -> Callable[[str], str]:
    """Our key -> the public key; `first` and `second` are the indices of a block's convolutions: 1 and 5 or, with
    dropout, 6; with zero padding 0 and 3 or 4."""
    tail = 10 + blocks
    places = {"stem": 1, "down1": 4, "down2": 7, "up1": tail, "up2": tail + 3, "head": tail + 7}
    places |= {f"{name}_norm": index + 1 for name, index in places.items()}
    inner = {"conv1": first, "norm1": first + 1, "conv2": second, "norm2": second + 1}
    inside = {"depthwise": ".conv.0", "norm": ".conv.1", "pointwise": ".conv.2"}

    def to_public(own: str) -> str:
        module, leaf = own.rsplit(".", 1)
        if module in places:
            return f"model.{places[module]}.{leaf}"
        _, index, layer, *part = module.split(".")
        separable = inside[part[0]] if part else ""
        return f"model.{10 + int(index)}.conv_block.{inner[layer]}{separable}.{leaf}"

    return to_public
