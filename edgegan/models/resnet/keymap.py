"""ResNet generators of pytorch-CycleGAN-and-pix2pix and gan-compression (full, mobile, super, sub): model.1 ..."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgegan.errors import CheckpointError
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

EXAMPLE = "CycleGAN, pix2pix and gan-compression ResNets (model.1.weight ...)"


def recognises(state: State) -> bool:
    """Whether these are their keys."""
    return "model.1.weight" in state and any(".conv_block." in key for key in state)


def read(state: State, path: Path) -> Imported:
    """With or without the dropout entry that shifts block indices; dense or separable blocks; old running statistics of
    InstanceNorm layers are dropped."""
    changes: list[str] = []
    matches = (re.match(r"model\.(\d+)\.conv_block\.", key) for key in state)
    block_ids = sorted({int(match[1]) for match in matches if match})
    if block_ids != list(range(10, 10 + len(block_ids))):
        raise CheckpointError(
            f"{path}: residual blocks at model.{block_ids}, expected a row from model.10; "
            "is a block missing?"
        )
    separable = any(".conv_block.1.conv.0." in key for key in state)
    shifted = any(
        re.match(r"model\.\d+\.conv_block\.6\.(conv\.0\.)?weight", key) and state[key].dim() == 4
        for key in state
    )
    second = 6 if shifted else 5
    norm = find_norm(state, "model.2")
    inside = find_norm(state, "model.10.conv_block.1.conv.1")
    if norm != "batch":
        state = drop_statistics(state, changes)
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
        inner=tuple(width(f"model.{index}.conv_block.1{leaf}") for index in block_ids),
        up=(width(f"model.{tail}.weight", 1), width(f"model.{tail + 3}.weight", 1)),
        block="separable" if separable else "dense",
        norm=norm,
        separable_norm=inside if separable and inside != norm else None,
        dropout=0.5 if shifted and not separable else 0.0,
    )
    biasless = norm == "batch"
    return adopt(
        Imported("resnet", spec, state, changes, {"second": second}),
        namer(len(block_ids), second),
        path,
        lambda own: biasless and own.endswith(".bias") and "norm" not in own,
    )


def write(imported: Imported) -> State:
    """The public state dict with the block indices it was read with; 6 for separable blocks, else 5, if it was not."""
    assert isinstance(imported.spec, ResnetSpec)
    usual = 6 if imported.spec.block == "separable" or imported.spec.dropout else 5
    second = imported.layout.get("second", usual)
    return give_back(imported, namer(len(imported.spec.inner), second))


def sub_network(spec: Spec, config: str, legacy: bool) -> Spec | None:
    """The sub-network of a mobile ResNet that a width config means; None for other ResNets."""
    assert isinstance(spec, ResnetSpec)
    if spec.block != "separable":
        return None
    kept = {"in_channels", "out_channels", "norm", "separable_norm", "dropout"}
    return ResnetSpec.from_config(config, legacy=legacy, **spec.model_dump(include=kept))


def namer(blocks: int, second: int) -> Callable[[str], str]:
    """Our key -> the public key; `second` is the index of a block's second convolution: 5 or, with dropout, 6."""
    tail = 10 + blocks
    places = {"stem": 1, "down1": 4, "down2": 7, "up1": tail, "up2": tail + 3, "head": tail + 7}
    places |= {f"{name}_norm": index + 1 for name, index in places.items()}
    inner = {"conv1": 1, "norm1": 2, "conv2": second, "norm2": second + 1}
    inside = {"depthwise": ".conv.0", "norm": ".conv.1", "pointwise": ".conv.2"}

    def to_public(own: str) -> str:
        module, leaf = own.rsplit(".", 1)
        if module in places:
            return f"model.{places[module]}.{leaf}"
        _, index, layer, *part = module.split(".")
        separable = inside[part[0]] if part else ""
        return f"model.{10 + int(index)}.conv_block.{inner[layer]}{separable}.{leaf}"

    return to_public
