"""Public checkpoint formats read into our families: unpickled without code, every key accounted for by name."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel

from edgegan.errors import CheckpointError, InputError, nearest
from edgegan.models.cartoon import CartoonSpec
from edgegan.models.discriminator import PatchSpec
from edgegan.models.resnet import ResnetSpec
from edgegan.models.zoo import build, get_family

State = dict[str, torch.Tensor]
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "params",
    "params_ema",
    "netG",
    "netG_A",
    "G",
    "generator",
    "model",
    "gen_state_dict",
)
HOW_TO_CLEAN = (
    "where it was made, run: torch.save(model.state_dict(), 'weights.pth'), then import weights.pth"
)


@dataclass(frozen=True)
class Imported:
    """A checkpoint in our names: what `build(family, spec).load_state_dict(state)` takes."""

    family: str
    spec: BaseModel
    state: State
    changes: list[str] = field(default_factory=list)


def read_state(path: Path) -> State:
    """A flat state dict of float32 tensors from a .pth or .safetensors file.

    Nothing in the file is executed. Raises InputError when it is absent, CheckpointError when it is not a state dict.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a checkpoint file (.pth or .safetensors)")
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    raw = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    state = flatten(raw, path)
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if bad:
        raise CheckpointError(
            f"{path}: {len(bad)} tensors hold NaN or infinity, first '{bad[0]}'; the training that wrote it diverged"
        )
    return state


def read_safetensors(path: Path) -> object:
    """Tensors of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}); copy it again"
        ) from error


def read_torch(path: Path) -> object:
    """The object in a torch file, loaded with weights_only."""
    head = path.read_bytes()[:512].lstrip()
    if not head:
        raise CheckpointError(f"{path} is empty; copy or download it again")
    if head[:1] == b"<":
        raise CheckpointError(f"{path} is a web page, not a checkpoint; download the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not a checkpoint; fetch it with: git lfs pull"
        )
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise CheckpointError(
                    f"{path} is a TorchScript archive, which holds code; {HOW_TO_CLEAN}"
                )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if (
            "Unsupported" in str(error)
            or "GLOBAL" in str(error)
            or "weights_only" in str(error).lower()
        ):
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            what = f" ({found[1]})" if found else ""
            raise CheckpointError(
                f"{path} is a pickle that needs code{what}; it was refused and nothing in it ran; {HOW_TO_CLEAN}"
            ) from error
        raise CheckpointError(
            f"{path} is damaged or not a torch checkpoint; copy or download it again"
        ) from error
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        UnicodeDecodeError,
    ) as error:
        raise CheckpointError(
            f"{path} is damaged or not a torch checkpoint; copy or download it again"
        ) from error


def flatten(raw: object, path: Path) -> State:
    """Unwraps the usual containers and prefixes; raises CheckpointError when no state dict is inside."""
    if not isinstance(raw, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(raw).__name__}, not a state dict; {HOW_TO_CLEAN}"
        )
    for wrapper in WRAPPERS:
        if isinstance(raw.get(wrapper), Mapping):
            return flatten(raw[wrapper], path)
    tensors = {str(key): value for key, value in raw.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(
            f"{path} holds no tensors (keys: {', '.join(map(str, list(raw)[:5])) or 'none'}); "
            "give a generator's state dict"
        )
    state = {key.removeprefix("module."): value.detach() for key, value in tensors.items()}
    return {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }


def import_checkpoint(path: Path, family: str | None = None) -> Imported:
    """Reads a checkpoint and maps it onto a family, recognised from its keys unless forced.

    Raises CheckpointError listing missing, unexpected and misshapen keys in the checkpoint's own names.
    """
    state = read_state(path)
    if family is not None:
        get_family(family)
    recognised = recognise(state)
    if family is None and recognised is None:
        raise CheckpointError(
            f"{path}: no family has keys like '{next(iter(state))}'; supported: CartoonGAN (conv01_1.weight ...), "
            "CycleGAN and pix2pix ResNet generators (model.1.weight ...)"
        )
    if family is not None and recognised is not None and family != recognised:
        raise CheckpointError(
            f"{path} is a '{recognised}' generator, not '{family}'; drop --family or give --family {recognised}"
        )
    reader = {"cartoon": read_cartoon, "resnet": read_resnet}[family or recognised or ""]
    return reader(state, path)


def recognise(state: Mapping[str, torch.Tensor]) -> str | None:
    """The family whose public key names these are, or None."""
    if "conv01_1.weight" in state or "deconv01_1.weight" in state:
        return "cartoon"
    if "model.1.weight" in state and any(".conv_block." in key for key in state):
        return "resnet"
    return None


def shape_of(state: Mapping[str, torch.Tensor], key: str, path: Path) -> torch.Size:
    """The shape of a convolution weight that the family cannot do without."""
    if key not in state:
        raise CheckpointError(f"{path}: missing key '{key}'{nearest(key, state)}")
    if state[key].dim() != 4:
        raise CheckpointError(
            f"{path}: key '{key}' has shape {tuple(state[key].shape)}, not a convolution's four dimensions"
        )
    return state[key].shape


def rename(
    state: State,
    names: dict[str, str],
    expected: Mapping[str, torch.Tensor],
    path: Path,
    optional: set[str],
) -> State:
    """Moves tensors from public names to ours, checking that none is missing, left over or misshapen.

    `names` is {ours: public}; keys in `optional` (ours) are taken as zero when absent.
    """
    problems, result, used = [], {}, set()
    for own, tensor in expected.items():
        public = names[own]
        if public in state:
            used.add(public)
            if state[public].shape != tensor.shape:
                problems.append(
                    f"'{public}' has shape {tuple(state[public].shape)}, expected {tuple(tensor.shape)}"
                )
            else:
                result[own] = state[public]
        elif own in optional:
            result[own] = torch.zeros_like(tensor)
        else:
            problems.append(
                f"missing '{public}'{nearest(public, set(state) - set(names.values()))}"
            )
    problems += [
        f"unexpected '{key}'{nearest(key, set(names.values()) - used)}"
        for key in state
        if key not in used
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{path}: keys do not fit: {'; '.join(problems[:8])}{more}")
    return result


def read_cartoon(state: State, path: Path) -> Imported:
    """CartoonGAN, upstream keys; its BGR order is folded into the first and last convolution, so ours is RGB."""
    indices = [
        int(match[1]) for key in state if (match := re.fullmatch(r"conv(\d\d)_1\.weight", key))
    ]
    num_blocks = max([index for index in indices if index >= 4], default=3) - 3
    spec = CartoonSpec(
        in_channels=shape_of(state, "conv01_1.weight", path)[1],
        out_channels=shape_of(state, "deconv03_1.weight", path)[0],
        stem=shape_of(state, "conv01_1.weight", path)[0],
        down1=(
            shape_of(state, "conv02_1.weight", path)[0],
            shape_of(state, "conv02_2.weight", path)[0],
        ),
        down2=(
            shape_of(state, "conv03_1.weight", path)[0],
            shape_of(state, "conv03_2.weight", path)[0],
        ),
        inner=tuple(
            shape_of(state, f"conv{index:02d}_1.weight", path)[0]
            for index in range(4, 4 + num_blocks)
        ),
        up1=(
            shape_of(state, "deconv01_1.weight", path)[1],
            shape_of(state, "deconv01_2.weight", path)[0],
        ),
        up2=(
            shape_of(state, "deconv02_1.weight", path)[1],
            shape_of(state, "deconv02_2.weight", path)[0],
        ),
    )
    expected = build("cartoon", spec).state_dict()
    renamed = rename(state, {own: cartoon_key(own) for own in expected}, expected, path, set())
    changes = []
    if spec.in_channels == 3 and spec.out_channels == 3:
        renamed["stem.weight"] = renamed["stem.weight"].flip(1).contiguous()
        renamed["head.weight"] = renamed["head.weight"].flip(0).contiguous()
        renamed["head.bias"] = renamed["head.bias"].flip(0).contiguous()
        changes.append(
            "BGR input and output folded into the first and last convolution (exact): now RGB"
        )
    return Imported("cartoon", spec, renamed, changes)


def cartoon_key(own: str) -> str:
    """Our key -> the upstream key of CartoonGAN."""
    module, leaf = own.rsplit(".", 1)
    fixed = {
        "stem": "conv01_1",
        "stem_norm": "in01_1",
        "down1_norm": "in02_1",
        "down2_norm": "in03_1",
        "up1_norm": "in12_1",
        "up2_norm": "in13_1",
        "head": "deconv03_1",
    }
    stages = {"down1": "conv02", "down2": "conv03", "up1": "deconv01", "up2": "deconv02"}
    first, _, rest = module.partition(".")
    if module in fixed:
        public = fixed[module]
    elif first in stages:
        public = f"{stages[first]}_{int(rest) + 1}"
    else:
        index, _, layer = rest.partition(".")
        public = f"{'conv' if layer.startswith('conv') else 'in'}{int(index) + 4:02d}_{layer[-1]}"
    if public.startswith("in"):
        leaf = {"weight": "scale", "bias": "shift"}[leaf]
    return f"{public}.{leaf}"


def read_resnet(state: State, path: Path) -> Imported:
    """CycleGAN and pix2pix ResNet generators, with or without the dropout entry that shifts block indices, and the
    separable blocks of gan-compression."""
    changes = []
    block_ids = sorted(
        {int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.conv_block\.", key))}
    )
    if block_ids != list(range(10, 10 + len(block_ids))):
        raise CheckpointError(
            f"{path}: residual blocks at model.{block_ids}, expected a row from model.10; is a block missing?"
        )
    separable = any(".conv_block.1.conv.0." in key for key in state)
    second = (
        "5"
        if any(re.match(r"model\.\d+\.conv_block\.5\.(conv\.0\.)?weight", key) for key in state)
        else "6"
    )
    num_blocks = len(block_ids)
    affine, running = "model.2.weight" in state, "model.2.running_mean" in state
    norm = "batch" if affine and running else "instance_affine" if affine else "instance"
    if norm != "batch":
        stale = [
            key
            for key in state
            if key.rsplit(".", 1)[-1] in ("running_mean", "running_var", "num_batches_tracked")
        ]
        state = {key: value for key, value in state.items() if key not in stale}
        if stale:
            changes.append(
                f"{len(stale)} running statistics of old InstanceNorm layers dropped (unused)"
            )
    leaf = ".conv.2.weight" if separable else ".weight"
    spec = ResnetSpec(
        in_channels=shape_of(state, "model.1.weight", path)[1],
        out_channels=shape_of(state, f"model.{17 + num_blocks}.weight", path)[0],
        stem=shape_of(state, "model.1.weight", path)[0],
        down=shape_of(state, "model.4.weight", path)[0],
        trunk=shape_of(state, "model.7.weight", path)[0],
        inner=tuple(
            shape_of(state, f"model.{index}.conv_block.1{leaf}", path)[0] for index in block_ids
        ),
        up=(
            shape_of(state, f"model.{10 + num_blocks}.weight", path)[1],
            shape_of(state, f"model.{13 + num_blocks}.weight", path)[1],
        ),
        block="separable" if separable else "dense",
        norm=norm,
        dropout=0.5 if second == "6" and not separable else 0.0,
    )
    expected = build("resnet", spec).state_dict()
    optional = (
        {key for key in expected if key.endswith(".bias") and "norm" not in key}
        if norm == "batch"
        else set()
    )
    renamed = rename(
        state,
        {own: resnet_key(own, num_blocks, second) for own in expected},
        expected,
        path,
        optional,
    )
    return Imported("resnet", spec, renamed, changes)


def resnet_key(own: str, num_blocks: int, second: str) -> str:
    """Our key -> the public key; `second` is the index of a block's second convolution: "5" or, with dropout, "6"."""
    module, leaf = own.rsplit(".", 1)
    tail = 10 + num_blocks
    places = {"stem": 1, "down1": 4, "down2": 7, "up1": tail, "up2": tail + 3, "head": tail + 7}
    places |= {f"{name}_norm": index + 1 for name, index in places.items()}
    if module in places:
        return f"model.{places[module]}.{leaf}"
    _, index, layer, *inside = module.split(".")
    inner = {"conv1": "1", "norm1": "2", "conv2": second, "norm2": str(int(second) + 1)}[layer]
    separable = (
        {"depthwise": ".conv.0", "norm": ".conv.1", "pointwise": ".conv.2"}[inside[0]]
        if inside
        else ""
    )
    return f"model.{10 + int(index)}.conv_block.{inner}{separable}.{leaf}"


def import_discriminator(path: Path) -> tuple[PatchSpec, State]:
    """A PatchGAN discriminator in the public layout (model.0, model.2, model.5, ...); conditional when it takes more
    than three channels."""
    state = read_state(path)
    first = shape_of(state, "model.0.weight", path)
    weights = [key for key, value in state.items() if key.endswith(".weight") and value.dim() == 4]
    batch = any(key.endswith("running_mean") for key in state)
    spec = PatchSpec(
        in_channels=first[1],
        ndf=first[0],
        layers=len(weights) - 2,
        norm="batch" if batch else "instance",
        conditional=first[1] > 3,
    )
    from edgegan.models.discriminator import PatchDiscriminator

    expected = PatchDiscriminator(spec).state_dict()
    return spec, rename(state, {key: key for key in expected}, expected, path, set())
