"""A checkpoint file to a flat state dict: nothing in it is executed, and every wrong file ends in one clear error."""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgegan import careful_pickle
from edgegan.archives import ArchiveError, check_zip, is_zip
from edgegan.checkpoint_kinds import AGAIN, HOW_TO_CLEAN, check_exists, check_kind, unpacked
from edgegan.errors import CheckpointError, InputError
from edgegan.generator_part import (
    AVERAGES,
    choose_mapping,
    say_chosen,
    strip,
    take_part,
    under_prefix,
)
from edgegan.streams import is_text

State = dict[str, torch.Tensor]
WRAPPERS = (
    *AVERAGES,
    "state_dict",
    "model_state_dict",
    "params",
    "model",
    "gen_state_dict",
)
MAX_NESTING = 32
MOST_SHARED = 8  # times a file's size that its tensors may be: some tie weights
UNPACKED_BYTES = 1 << 20
DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    MemoryError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
)


def read_state(path: Path, part: str | None = None, notes: list[str] | None = None) -> State:
    """A flat state dict from a .pth or .safetensors file, floating point as float32.

    Of a file with several parts the generator is taken, its moving average before the raw weights,
    or the `part` of this name; `notes` takes what was chosen. Nothing in the file is executed.
    Raises InputError when it is absent, CheckpointError when it is not a state dict of finite real
    tensors.
    """
    return state_in(read_checkpoint(path), path, part, notes)


def read_checkpoint(path: Path) -> object:
    """All that a checkpoint file holds; raises InputError when it is absent, CheckpointError."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a checkpoint file (.pth or .safetensors)")
    check_exists(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    check_kind(path)
    return read_any(path)


def state_in(
    raw: object, path: Path, part: str | None = None, notes: list[str] | None = None
) -> State:
    """The state dict of `read_state` in what a checkpoint file holds."""
    if part is not None and isinstance(raw, Mapping):
        raw = take_part(raw, part, path)
    state = flatten(raw, path, [] if notes is None else notes)
    for key, value in state.items():
        check_tensor(key, value, path)
    claimed = sum(value.numel() * value.element_size() for value in state.values())
    if claimed > MOST_SHARED * path.stat().st_size:
        raise CheckpointError(
            f"{path}: its tensors share memory so often that {claimed / 1e6:,.0f} MB come of "
            f"{path.stat().st_size / 1e6:,.1f} MB; {HOW_TO_CLEAN}"
        )
    state = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if bad:
        raise CheckpointError(
            f"{path}: {len(bad)} tensors hold NaN or infinity, first '{bad[0]}'; "
            "the training that wrote it diverged: take an earlier checkpoint"
        )
    return state


def read_any(path: Path) -> object:
    """What a checkpoint holds, also of one inside a zip file; raises CheckpointError."""
    try:
        with unpacked(path) as inner:
            return read_safetensors(inner) if is_safetensors(inner) else read_torch(inner)
    except ArchiveError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}; {AGAIN}") from error
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({error}); {AGAIN}") from error


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """What a safetensors file holds. The library itself takes only paths that are UTF-8."""
    from safetensors.torch import load, load_file

    return load_file(path) if is_text(path) else load(path.read_bytes())


def is_safetensors(path: Path) -> bool:
    """By the suffix, or by the length and the brace that such a file begins with."""
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or (head[8:] == b"{" and head[4:8] == bytes(4))


def harmless_globals() -> list[Any]:
    """What trainings keep beside weights that only holds values: numpy's numbers and arrays, options, counters."""
    core = np.float64(0).__reduce__()[0]
    array = np.zeros(1).__reduce__()[0]
    kinds = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
    named = [
        (each, f"numpy.{place}.multiarray.{name}")
        for each, name in ((core, "scalar"), (array, "_reconstruct"))
        for place in ("core", "_core")
    ]
    buffer = np.zeros(1).__reduce_ex__(5)[0]
    named += [(buffer, f"numpy.{place}.numeric._frombuffer") for place in ("core", "_core")]
    plain = [np.ndarray, np.dtype, argparse.Namespace, Counter]
    return [*named, *plain, *(type(np.dtype(kind)) for kind in kinds)]


def read_safetensors(path: Path) -> object:
    """Tensors of a safetensors file."""
    from safetensors import SafetensorError

    try:
        return load_tensors(path)
    except (SafetensorError, *DAMAGE) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}); {AGAIN}"
        ) from error


def read_torch(path: Path) -> object:
    """The object in a torch file, loaded with weights_only."""
    damaged = CheckpointError(f"{path} is damaged or not a torch checkpoint; {AGAIN}")
    try:
        if is_zip(path):
            members = check_zip(path, 2 * path.stat().st_size + UNPACKED_BYTES)
            if any(member.filename.endswith("constants.pkl") for member in members):
                raise CheckpointError(
                    f"{path} is a TorchScript archive, which holds code; {HOW_TO_CLEAN}"
                )
        with warnings.catch_warnings(), torch.serialization.safe_globals(harmless_globals()):
            warnings.simplefilter("ignore")  # torch warns about formats it then refuses
            if careful_pickle.needs_care(path):
                return careful_pickle.load(path, harmless_globals())
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found or is_pickle(path):
            what = f" ({found[1]})" if found else ""
            raise CheckpointError(
                f"{path} is a pickle that needs code{what}; it was refused and nothing in it ran; "
                f"{HOW_TO_CLEAN}"
            ) from error
        raise damaged from error
    except ArchiveError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}; {AGAIN}") from error
    except DAMAGE as error:
        raise damaged from error


def is_pickle(path: Path) -> bool:
    """Whether a file begins as pickles of any protocol from 2 on do."""
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def flatten(raw: object, path: Path, notes: list[str], nesting: int = 0) -> State:
    """Unwraps the usual containers and prefixes; raises CheckpointError without a state dict inside."""
    if not isinstance(raw, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(raw).__name__}, not a state dict; {HOW_TO_CLEAN}"
        )
    tensors = {str(key): value for key, value in raw.items() if isinstance(value, torch.Tensor)}
    wrapper = find_wrapper(raw, bool(tensors), path, notes)
    if wrapper is not None:
        if nesting == MAX_NESTING:
            raise CheckpointError(
                f"{path}: '{wrapper}' is nested {MAX_NESTING} deep; {HOW_TO_CLEAN}"
            )
        return flatten(raw[wrapper], path, notes, nesting + 1)
    if not tensors:
        keys = ", ".join(str(key)[:60] for key in list(raw)[:5]) or "none"
        raise CheckpointError(
            f"{path} holds no tensors (keys: {keys}); give a generator's state dict"
        )
    state: State = {}
    for key, value in tensors.items():
        short = strip(key)
        if short in state:
            raise CheckpointError(
                f"{path}: both '{short}' and 'module.{short}' are there; keep one of them"
            )
        state[short] = value.detach()
    return under_prefix(state, path, notes)


def find_wrapper(raw: Mapping[Any, Any], tensors: bool, path: Path, notes: list[str]) -> str | None:
    """The key under which the generator lies: a usual one, or the only one that holds a generator's tensors."""
    usual = [name for name in WRAPPERS if isinstance(raw.get(name), Mapping)]
    if usual:
        if usual[0] in AVERAGES:
            say_chosen(usual[0], set(usual), notes)
        return usual[0]
    return None if tensors else choose_mapping(raw, path, notes)


def check_tensor(key: str, value: torch.Tensor, path: Path) -> None:
    """Raises CheckpointError naming a tensor that cannot be a weight: sparse, quantised, complex,
    empty, or claiming more values than the file holds."""
    if value.layout != torch.strided or value.is_meta:
        wrong = f"is not a dense tensor ({value.layout}, {value.device.type})"
    elif value.is_quantized:
        wrong = f"is quantised ({value.dtype}); give the float checkpoint"
    elif value.is_complex():
        wrong = f"has complex values ({value.dtype}), which no generator has"
    elif value.numel() == 0:
        wrong = f"is empty (shape {tuple(value.shape)})"
    elif value.numel() * value.element_size() > value.untyped_storage().nbytes():
        wrong = f"claims shape {tuple(value.shape)}, more values than the file holds"
    else:
        return
    raise CheckpointError(f"{path}: '{key}' {wrong}; {HOW_TO_CLEAN}")
