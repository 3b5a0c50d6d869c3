"""Broken and hostile checkpoint files, each with the words of its error."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import torch

State = dict[str, torch.Tensor]
KEY = "model.1.weight"


class Hostile:
    """Unpickles by creating a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.target}'",)


def good_state() -> State:
    """A small public ResNet generator."""
    shapes = {"model.1": (4, 3, 7, 7), "model.4": (8, 4, 3, 3), "model.7": (16, 8, 3, 3)}
    for block in range(10, 16):
        shapes |= {f"model.{block}.conv_block.{place}": (16, 16, 3, 3) for place in (1, 5)}
    shapes |= {"model.16": (16, 8, 3, 3), "model.19": (8, 4, 3, 3), "model.23": (3, 4, 7, 7)}
    state = {}
    for key, shape in shapes.items():
        state[f"{key}.weight"] = torch.randn(shape)
        state[f"{key}.bias"] = torch.randn(
            shape[1] if key in ("model.16", "model.19") else shape[0]
        )
    return state


def changed(**values: object) -> Callable[[Path], None]:
    """Saves the good state with some keys replaced; `first` stands for the first weight."""

    def write(path: Path) -> None:
        state: dict[str, object] = dict(good_state())
        state.update({KEY if key == "first" else key: value for key, value in values.items()})
        torch.save(state, path)

    return write


def saved(value: object) -> Callable[[Path], None]:
    """Saves any object."""
    return lambda path: torch.save(value, path)


def content(data: bytes) -> Callable[[Path], None]:
    """Writes bytes."""
    return lambda path: path.write_bytes(data) and None


def write_truncated(path: Path) -> None:
    torch.save(good_state(), path)
    path.write_bytes(path.read_bytes()[:-3000])


def write_cut_legacy(path: Path) -> None:
    torch.save(good_state(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:5000])


def write_scrambled(path: Path) -> None:
    torch.save(good_state(), path)
    data = bytearray(path.read_bytes())
    start = data.find(b"data.pkl") + 60
    data[start : start + 200] = bytes(200)
    path.write_bytes(bytes(data))


def write_hostile(path: Path) -> None:
    torch.save({KEY: torch.zeros(1), "extra": Hostile(path.parent / "proof")}, path)


def write_hostile_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(path.parent / "proof")))


def write_module(path: Path) -> None:
    torch.save(torch.nn.Conv2d(1, 1, 1), path)


def write_torchscript(path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def write_missing(path: Path) -> None:
    state = good_state()
    state["model.11.conv_block.1.wieght"] = state.pop("model.11.conv_block.1.bias")
    torch.save(state, path)


def write_lost_block(path: Path) -> None:
    torch.save({k: v for k, v in good_state().items() if not k.startswith("model.12.")}, path)


def write_recursive(path: Path) -> None:
    loop: dict[str, object] = {}
    loop["state_dict"] = loop
    torch.save(loop, path)


def write_false_header(path: Path) -> None:
    header = json.dumps(
        {KEY: {"dtype": "F32", "shape": [100000, 100000], "data_offsets": [0, 16]}}
    ).encode()
    path.with_suffix(".safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + bytes(16)
    )


def write_false_length(path: Path) -> None:
    path.with_suffix(".safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


def huge() -> torch.Tensor:
    """A weight of 4e12 values that all are one number in memory."""
    return torch.ones(1).expand(1000000, 1000000, 2, 2)


NAN = torch.full((4, 3, 7, 7), float("nan"))
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated zip": (write_truncated, "damaged"),
    "truncated legacy file": (write_cut_legacy, "damaged|needs code"),
    "overwritten inside": (write_scrambled, "damaged|needs code"),
    "empty file": (content(b""), "is empty"),
    "random bytes": (content(bytes(range(256)) * 20), "damaged"),
    "HTML page": (content(b"\n<!DOCTYPE html><html>404</html>"), "web page"),
    "LFS pointer": (content(b"version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull"),
    "hostile in a state dict": (write_hostile, r"needs code.*system.*nothing in it ran"),
    "hostile pickle": (write_hostile_pickle, r"needs code.*nothing in it ran"),
    "whole module": (write_module, "needs code.*Conv2d.*state_dict"),
    "TorchScript": (write_torchscript, "TorchScript"),
    "empty dict": (saved({}), "no tensors.*none"),
    "list": (saved([torch.zeros(2)]), "holds a list"),
    "tensor": (saved(torch.zeros(2)), "holds a Tensor"),
    "optimiser": (saved({"param_groups": [1], "state": {"step": 3}}), "no tensors.*param_groups"),
    "nested in itself": (write_recursive, "nested 32 deep|damaged"),
    "numbers in place of tensors": (changed(first=3), "model.1.weight"),
    "NaN": (changed(first=NAN), "NaN or infinity.*model.1.weight"),
    "infinity": (changed(first=1 / torch.zeros(4, 3, 7, 7)), "NaN or infinity.*model.1.weight"),
    "integers": (changed(first=torch.ones(4, 3, 7, 7).long()), "model.1.weight.*int64"),
    "complex": (changed(first=torch.ones(4, 3, 7, 7) * 1j), "model.1.weight.*complex"),
    "no values": (changed(first=torch.zeros(0, 3, 7, 7)), "model.1.weight.*empty"),
    "sparse": (changed(first=torch.eye(4).to_sparse()), "model.1.weight.*dense"),
    "shared memory as a huge weight": (changed(first=huge()), "model.1.weight.*more values"),
    "huge false safetensors shape": (write_false_header, "safetensors"),
    "huge false safetensors header": (write_false_length, "safetensors"),
    "wrong shape": (changed(first=torch.ones(4, 3, 5, 5)), r"model\.1\.weight.*\(4, 3, 5, 5\)"),
    "widths that cannot be": (
        changed(first=torch.ones(900000, 3, 1, 1)),
        r"model\.1\.weight.*expected \(900000",
    ),
    "a vector for a weight": (changed(first=torch.ones(4)), "model.1.weight.*4 dimensions"),
    "misspelt key": (write_missing, r"missing 'model\.11\.conv_block\.1\.bias'.*did you mean"),
    "unexpected key": (changed(**{"model.30.weight": torch.ones(2)}), r"unexpected 'model\.30"),
    "lost block": (write_lost_block, "is a block missing"),
    "another net": (saved({"layer1.0.conv1.weight": torch.ones(2)}), "no family has keys"),
}
