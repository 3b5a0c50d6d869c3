"""What is around a trace: the module stays as it was, and libraries and tensors that know nothing of traced values meet
them."""

from __future__ import annotations

import logging
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Context after which a module and its layers have the attributes they had: what a forward
    keeps on itself while it is traced is no value."""
    stores = ("_parameters", "_buffers", "_modules")
    before = [
        (layer, dict(vars(layer)), {name: dict(vars(layer)[name]) for name in stores})
        for layer in module.modules()
    ]
    try:
        yield
    finally:
        for layer, attributes, kept in before:
            vars(layer).clear()
            vars(layer).update(attributes)
            for name, store in kept.items():
                attributes[name].clear()
                attributes[name].update(store)


@contextmanager
def quiet() -> Iterator[None]:
    """Context in which operations that do not fit are no messages: they are what the caller asks
    about."""
    log = logging.getLogger(FakeTensor.__module__)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def indexed_by_traces() -> Iterator[None]:
    """Context in which a tensor that the forward made takes traced values as its index, or into itself: PyTorch reads
    them as sequences of numbers."""
    get, put = torch.Tensor.__getitem__, torch.Tensor.__setitem__

    def getitem(self: torch.Tensor, index: Any) -> Any:
        found = first_proxy(index)
        if found is None:
            return get(self, index)
        return found.tracer.create_proxy("call_function", operator.getitem, (self, index), {})

    def setitem(self: torch.Tensor, index: Any, value: Any) -> None:
        found = first_proxy((index, value))
        if found is None:
            put(self, index, value)
        else:
            found.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})

    own = {name: vars(torch.Tensor).get(name) for name in ("__getitem__", "__setitem__")}
    torch.Tensor.__getitem__, torch.Tensor.__setitem__ = getitem, setitem  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for name, each in own.items():
            if each is None:
                delattr(torch.Tensor, name)
            else:
                setattr(torch.Tensor, name, each)


def first_proxy(values: Any) -> fx.Proxy | None:
    """A traced value in nested tuples, lists and slices."""
    if isinstance(values, fx.Proxy):
        return values
    if isinstance(values, slice):
        values = (values.start, values.stop, values.step)
    inner = (first_proxy(each) for each in values) if isinstance(values, (tuple, list)) else ()
    return next((each for each in inner if each is not None), None)


def register_einops() -> None:
    """Lets einops, where the user's module uses it, write reshapes and permutations into a trace."""
    if "einops" not in sys.modules:
        return
    from einops import _backends  # type: ignore[import-not-found]

    class Backend(_backends.TorchBackend):
        """Sizes stay traced; a list is not hashed, so that no cache keeps them."""

        framework_name = "torch.fx"

        def is_appropriate_type(self, tensor: Any) -> bool:
            """See einops."""
            return isinstance(tensor, fx.Proxy)

        def shape(self, x: Any) -> Any:
            """See einops."""
            return list(x.shape)

    _backends._loaded_backends.setdefault("torch.fx", Backend())
