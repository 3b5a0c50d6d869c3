"""Pickles of protocol 3, 4 and 5, which torch reads in part only with code allowed: the same allow-list, read by the
unpickler of Python. What is named must be on the list, and only instances of a few kinds take a state."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from edgegan.archives import is_zip

FIRST, NEW = 0x80, (3, 4, 5)
TAKE_STATE = (OrderedDict, argparse.Namespace, Counter, np.ndarray, np.dtype)


def needs_care(path: Path) -> bool:
    """Whether the pickle inside a torch archive, or that an old file of torch begins with, is of a protocol that
    torch's own careful reader does not know."""
    if not is_zip(path):
        with path.open("rb") as file:
            head = file.read(2)
        return is_new(head)
    with zipfile.ZipFile(path) as archive:
        name = next((each for each in archive.namelist() if each.endswith("data.pkl")), None)
        if name is None:
            return False
        with archive.open(name) as stream:
            head = stream.read(2)
    return is_new(head)


def is_new(head: bytes) -> bool:
    """Whether two bytes are the start of a pickle of protocol 3, 4 or 5."""
    return len(head) == 2 and head[0] == FIRST and head[1] in NEW


def reader(allowed: Mapping[str, Any]) -> Any:
    """A module-like object for torch.load's `pickle_module`: names are looked up in `allowed` alone."""

    class Careful(pickle._Unpickler):  # type: ignore[name-defined, misc]
        """The one written in Python, whose steps can be replaced."""

        stack: list[Any]
        dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

        def find_class(self, module: str, name: str) -> Any:
            """Only what is on the list."""
            if f"{module}.{name}" not in allowed:
                raise pickle.UnpicklingError(f"GLOBAL {module}.{name} is not on the list")
            return allowed[f"{module}.{name}"]

        def load_build(self) -> None:
            """A state is for instances of a few kinds, never for a class or a function."""
            if not isinstance(self.stack[-2], TAKE_STATE):
                kind = type(self.stack[-2])
                raise pickle.UnpicklingError(
                    f"GLOBAL {kind.__module__}.{kind.__name__} takes no state"
                )
            pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]

        dispatch[pickle.BUILD[0]] = load_build

    return SimpleNamespace(
        Unpickler=Careful,
        load=lambda file, **options: Careful(file, **options).load(),
        __name__="pickle",
    )


def allowed_globals(more: list[Any]) -> dict[str, Any]:
    """What torch's careful reader allows, and `more`: objects, or pairs of an object and its name."""
    from torch._weights_only_unpickler import _get_allowed_globals

    found = dict(_get_allowed_globals())
    for each in more:
        given, name = (
            each if isinstance(each, tuple) else (each, f"{each.__module__}.{each.__name__}")
        )
        found[name] = given
    return found


def load(path: Path, more: list[Any]) -> object:
    """The object in a torch archive whose pickle is of protocol 3, 4 or 5; raises as pickle does."""
    module = reader(allowed_globals(more))
    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
