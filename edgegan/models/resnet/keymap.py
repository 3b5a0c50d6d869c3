"""ResNet generators of pytorch-CycleGAN-and-pix2pix and gan-compression (full, mobile, super, sub): model.1 ..."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

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
from edgegan.models.resnet import slimmed
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.spec import Spec
from edgegan.weights import State

NAME = "conv_block"
BLOCK = re.compile(r"^(model\.\d+\.)(conv_block|block|model|layers|net|main)\.(?=\d)")
EXAMPLE = "CycleGAN, pix2pix and gan-compression ResNets (model.1.weight ...)"


@dataclass(frozen=True)
class Places:
    """Where layers stand in the public row: stem 1, halvings from 4 (convolution, norm, ReLU and perhaps a blur),
    blocks, doublings (perhaps a blur, then convolution, norm, ReLU), padding, head."""

    blocks: int
    halvings: int = 2
    blurred_down: bool = False
    blurred_up: bool = False

    def downs(self) -> list[int]:
        """The convolutions of halvings."""
        step = 4 if self.blurred_down else 3
        return [4 + step * index for index in range(self.halvings)]

    def start(self) -> int:
        """The first residual block."""
        return 4 + (4 if self.blurred_down else 3) * self.halvings

    def ups(self) -> list[int]:
        """The convolutions of doublings."""
        step, tail = 4 if self.blurred_up else 3, self.start() + self.blocks
        return [tail + step * index + int(self.blurred_up) for index in range(self.halvings)]

    def head(self) -> int:
        """The last convolution."""
        step = 4 if self.blurred_up else 3
        return self.start() + self.blocks + step * self.halvings + 1


def recognises(state: State) -> bool:
    """Whether these are their keys."""
    named = any(BLOCK.match(key) for key in state)
    return "model.1.weight" in state and (named or slimmed.recognises(state))


def one_name(state: State) -> tuple[State, str]:
    """The state with blocks named conv_block, and what they are named in the file."""
    found = next((match[2] for key in state if (match := BLOCK.match(key))), NAME)
    return {BLOCK.sub(rf"\1{NAME}.", key): value for key, value in state.items()}, found


def block_numbers(state: State, path: Path) -> list[int]:
    """Where residual blocks stand: behind stem and halvings; raises CheckpointError when they are no row."""
    matches = (re.match(r"model\.(\d+)\.conv_block\.", key) for key in state)
    block_ids = sorted({int(match[1]) for match in matches if match})
    if not block_ids:
        return []
    step = 4 if any(place < block_ids[0] for place in blur_places(state)) else 3
    start = 4 + step * max(1, (block_ids[0] - 4) // step)
    if block_ids != list(range(start, start + len(block_ids))):
        raise CheckpointError(
            f"{path}: residual blocks at model.{block_ids}, expected a row from model.{start}; "
            "is a block missing?"
        )
    return block_ids


def read_places(state: State, block_ids: list[int]) -> Places:
    """Where layers stand around these residual blocks; the usual places where there are none."""
    blurs = blur_places(state)
    if not block_ids:
        return Places(0)
    blurred_down = any(place < block_ids[0] for place in blurs)
    halvings = (block_ids[0] - 4) // (4 if blurred_down else 3)
    blurred_up = any(place > block_ids[-1] for place in blurs)
    return Places(len(block_ids), halvings, blurred_down, blurred_up)


def blur_places(state: State) -> list[int]:
    """Where fixed filters of halvings and doublings stand."""
    found = (re.fullmatch(r"model\.(\d+)\.filt", key) for key in state)
    return [int(match[1]) for match in found if match]


def find_padding(state: State, block: int) -> tuple[Padding, int, int]:
    """The padding of blocks and the places of a block's two convolutions: zero padding has no layer of its own."""
    at = {
        int(match[1])
        for key in state
        if (match := re.match(rf"model\.{block}\.conv_block\.(\d+)\.(conv\.0\.)?weight", key))
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
    mixed = slimmed.recognises(state)
    empty = slimmed.empty_blocks(state, path) if mixed else []
    if empty:
        changes.append(
            f"{len(empty)} residual blocks have no channels and went; they doubled the stream, which is folded into "
            "what reads it (exact)"
        )
        state = slimmed.without_empty(state, empty)
    block_ids = block_numbers(state, path)
    places = read_places(state, block_ids)
    separable = any(re.search(r"\.conv_block\.[01]\.conv\.0\.", key) for key in state)
    start = places.start()
    padding, first, second = find_padding(state, start)
    inside: FamilyNorm = find_norm(state, f"model.{start}.conv_block.{first}.conv.1")
    norm, state = read_norm(state, changes)
    inside = "none" if norm == "none" else inside  # without parameters it looks like InstanceNorm
    changes += assumed(padding)
    leaf = ".conv.2.weight" if separable else ".weight"

    def width(key: str, axis: int = 0) -> int:
        return int(shape_of(state, key, path)[axis])

    downs = [width(f"model.{place}.weight") for place in places.downs()]
    out = 0 if places.blurred_up else 1
    spec = ResnetSpec(
        in_channels=width("model.1.weight", 1),
        out_channels=width(f"model.{places.head()}.weight"),
        stem=width("model.1.weight"),
        down=downs[0],
        between=tuple(downs[1:-1]),
        trunk=downs[-1],
        inner=tuple(width(f"model.{index}.conv_block.{first}{leaf}") for index in block_ids),
        up=tuple(width(f"model.{place}.weight", out) for place in places.ups()),
        halving="blurred" if places.blurred_down else "strided",
        doubling="blurred" if places.blurred_up else "transposed",
        block="separable" if separable else "dense",
        norm=norm,
        padding=padding,
        separable_norm=inside if separable and inside != norm else None,
        trunk_norm="instance" if mixed and not empty else None,
        dropout=0.5 if second - first == 5 and not separable else 0.0,
    )
    state = without_filters(state, spec, path)
    if padding == "zero" and second == 4:
        spec = spec.model_copy(update={"dropout": 0.0 if separable else 0.5})
    biasless = norm in ("batch", "none")
    layout = {"second": second, "first": first, "name": name, "empty": empty}
    return adopt(
        Imported("resnet", spec, state, changes, layout),
        namer(len(block_ids), second, first, places),
        path,
        lambda own: biasless and own.endswith(".bias") and "norm" not in own,
    )


def assumed(padding: Padding) -> list[str]:
    """What the weights do not tell, in words that name the options which say otherwise."""
    lines = ["reflect padding of blocks assumed (the weights do not tell; --padding)"]
    return [
        *(lines if padding != "zero" else []),
        "tanh at the end assumed, and that what it makes is not added to its input (the weights do not tell; "
        "--activation clamp, --residual)",
    ]


def write(imported: Imported) -> State:
    """The public state dict with the block indices it was read with; 6 for separable blocks, else 5, if it was not."""
    assert isinstance(imported.spec, ResnetSpec)
    usual = 6 if imported.spec.block == "separable" or imported.spec.dropout else 5
    first = 0 if imported.spec.padding == "zero" else 1
    second = imported.layout.get("second", usual - 2 * (1 - first))
    places = places_of(imported.spec)
    given = give_back(imported, namer(places.blocks, second, first, places))
    given |= blur_filters(imported.spec)
    name, empty = imported.layout.get("name", NAME), imported.layout.get("empty")
    if empty:
        given = slimmed.with_empty(given, empty)
    return {BLOCK.sub(rf"\1{name}.", key): value for key, value in given.items()}


def sub_network(spec: Spec, config: str, legacy: bool) -> Spec | None:
    """The sub-network of a mobile ResNet that a width config means; None for other ResNets."""
    assert isinstance(spec, ResnetSpec)
    if spec.block != "separable" or spec.halvings != 2:
        return None
    kept = {"in_channels", "out_channels", "norm", "separable_norm", "dropout"}
    kept |= {"padding", "halving", "doubling", "residual", "colour", "ending"}
    return ResnetSpec.from_config(config, legacy=legacy, **spec.model_dump(include=kept))


def places_of(spec: ResnetSpec) -> Places:
    """Where the layers of a generator of this spec stand in public files."""
    blurred = spec.halving == "blurred", spec.doubling == "blurred"
    return Places(len(spec.inner), spec.halvings, *blurred)


def blur_filters(spec: ResnetSpec) -> State:
    """The fixed filters that public files of an antialiased ResNet hold, one copy a channel."""
    places, result = places_of(spec), {}
    narrow = torch.tensor([1.0, 2.0, 1.0])
    wide = torch.tensor([1.0, 3.0, 3.0, 1.0])
    rows: list[tuple[int, int, torch.Tensor]] = []
    if places.blurred_down:
        widths = [spec.down, *spec.between, spec.trunk][-places.halvings :]
        rows += [
            (at + 3, width, narrow / 4) for at, width in zip(places.downs(), widths, strict=True)
        ]
    if places.blurred_up:
        widths = [spec.trunk, *spec.up[:-1]]
        rows += [(at - 1, width, wide / 4) for at, width in zip(places.ups(), widths, strict=True)]
    for place, width, taps in rows:
        result[f"model.{place}.filt"] = torch.outer(taps, taps).repeat(width, 1, 1, 1)
    return result


def without_filters(state: State, spec: ResnetSpec, path: Path) -> State:
    """The state without fixed filters; raises CheckpointError where one is not the filter that it should be."""
    wanted = blur_filters(spec)
    for key in (key for key in state if key.endswith(".filt")):
        known = wanted.get(key)
        if (
            known is None
            or known.shape != state[key].shape
            or (known - state[key]).abs().max() > 1e-3
        ):
            raise CheckpointError(
                f"{path}: '{key}' is not the filter of an antialiased ResNet ([1 2 1] where sizes are halved, "
                "[1 3 3 1] where doubled); give its class with --generator package.module:factory"
            )
    return {key: value for key, value in state.items() if not key.endswith(".filt")}


def namer(
    blocks: int, second: int, first: int = 1, around: Places | None = None
) -> Callable[[str], str]:
    """Our key -> the public key; `first` and `second` are the indices of a block's convolutions: 1 and 5 or, with
    dropout, 6; with zero padding 0 and 3 or 4. `around` says where other layers stand: usual with two strided
    halvings."""
    where = around or Places(blocks)
    downs, ups = where.downs(), where.ups()
    between = {f"between.{index}": place for index, place in enumerate(downs[1:-1])}
    places = {"stem": 1, "down1": downs[0], **between, "down2": downs[-1], "head": where.head()}
    places |= {f"up{index}": place for index, place in enumerate(ups, 1)}
    places |= {norm_of(name): place + 1 for name, place in places.items()}
    inner = {"conv1": first, "norm1": first + 1, "conv2": second, "norm2": second + 1}
    inside = {"depthwise": ".conv.0", "norm": ".conv.1", "pointwise": ".conv.2"}

    def to_public(own: str) -> str:
        module, leaf = own.rsplit(".", 1)
        if module in places:
            return f"model.{places[module]}.{leaf}"
        _, index, layer, *part = module.split(".")
        separable = inside[part[0]] if part else ""
        return f"model.{where.start() + int(index)}.conv_block.{inner[layer]}{separable}.{leaf}"

    return to_public


def norm_of(name: str) -> str:
    """The norm behind one of our convolutions."""
    layer, _, index = name.partition(".")
    return f"{layer}_norm.{index}" if index else f"{layer}_norm"
