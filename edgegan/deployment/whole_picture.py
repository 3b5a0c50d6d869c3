"""Whether a generator's pixels depend on the whole picture, and what memory the whole takes: seen in a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

FLOAT_BYTES: Final = 4
COPIES: Final = (
    4  # times what the largest call reads and writes: paddings, work spaces, skips that wait
)
REDUCTIONS: Final = {"mean", "var", "std", "var_mean", "std_mean", "sum", "amax", "amin", "max"}
POOLS: Final = {"adaptive_avg_pool2d", "adaptive_max_pool2d"}


@dataclass(frozen=True)
class Trial:
    """`sees_whole`: norms, means or attention make every pixel depend on all others, so that a tile is not what the
    whole picture gives there. `bytes_per_pixel` of memory that one pass takes; infinite where nobody knows."""

    sees_whole: bool
    bytes_per_pixel: float = float("inf")


def argument(args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    """An argument of a call by place or name; None where it was not given."""
    return args[place] if len(args) > place else kwargs.get(name)


def mixes_pixels(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], made: torch.Tensor
) -> bool:
    """Whether each value that a call made depends on all pixels: statistics, means, attention."""
    x: torch.Tensor = args[0]
    if name in ("instance_norm", "batch_norm"):
        statistics = "use_input_stats" if name == "instance_norm" else "training"
        return bool(argument(args, kwargs, 5, statistics))
    if name in ("group_norm", "scaled_dot_product_attention"):
        return True
    if name == "layer_norm":
        return len(argument(args, kwargs, 1, "normalized_shape")) > 1
    if name == "softmax":
        return argument(args, kwargs, 1, "dim") not in (1, -3)
    if name not in REDUCTIONS | POOLS or x.dim() != 4:
        return False
    return x[0, 0].numel() > 1 and (made.dim() < 3 or made.shape[-2:].numel() == 1)


class Watch(TorchFunctionMode):
    """Notes the calls of a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.sees_whole = False
        self.most_values = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs the call and looks at what went in and out."""
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        tensors = [each for each in (*args, made) if isinstance(each, torch.Tensor)]
        self.most_values = max(self.most_values, sum(each.numel() for each in tensors))
        first = made[0] if isinstance(made, tuple) and made else made
        if args and isinstance(args[0], torch.Tensor) and isinstance(first, torch.Tensor):
            name = getattr(function, "__name__", "").strip("_")
            self.sees_whole = self.sees_whole or mixes_pixels(name, args, kwargs, first)
        return made


def try_out(module: nn.Module, example: torch.Tensor) -> Trial:
    """A forward pass of a small picture (1, C, H, W), watched."""
    with torch.no_grad(), Watch() as watch:
        module(example)
    pixels = example.shape[-2:].numel()
    return Trial(watch.sees_whole, COPIES * FLOAT_BYTES * watch.most_values / pixels)
