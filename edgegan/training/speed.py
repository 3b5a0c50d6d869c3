"""How training computes: in bfloat16 where the processor does, channels-last on CUDA, with compiled steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgegan.console import say
from edgegan.errors import DeviceError
from edgegan.recipe.section import Computing

COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class Speed:
    """What a training uses of a device. Weights, gradients, optimisers and losses are float32 in any case."""

    device: torch.device
    bf16: bool = False
    compiled: bool = False

    def attach(self, module: nn.Module, *, compiled: bool = True) -> None:
        """The module computes so while in training mode, and gives float32; `detach` undoes it.

        `compiled=False` leaves out compilation, for networks whose shapes change with every step.
        """
        if self.device.type == "cuda":
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        plain = module.forward
        fast: Callable[..., Any] = plain
        if self.compiled and compiled:
            fast = torch.compile(plain)
        if fast is plain and not self.bf16:
            return

        def forward(*inputs: torch.Tensor) -> Any:
            if not module.training:
                return plain(*inputs)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                return in_float32(fast(*inputs))

        module.forward = forward

    @contextmanager
    def attached(self, *modules: nn.Module) -> Iterator[None]:
        """Context in which the modules compute so."""
        with ExitStack() as stack:
            for module in modules:
                self.attach(module)
                stack.callback(detach, module)
            yield


def is_attached(module: nn.Module) -> bool:
    """Whether the module computes as a Speed says, or as it was written."""
    return "forward" in vars(module)


def detach(module: nn.Module) -> None:
    """The module computes as it was written again."""
    vars(module).pop("forward", None)


def in_float32(found: Any) -> Any:
    """Tensors as float32, also inside tuples and lists."""
    if isinstance(found, torch.Tensor):
        return found.float()
    return type(found)(in_float32(each) for each in found)


def choose_device(name: str) -> torch.device:
    """The device of a recipe; raises DeviceError when CUDA is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device 'cuda' is not available; set device: cpu, or install a CUDA build of torch"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_speed(settings: Computing, device: torch.device, *, compiling: bool = True) -> Speed:
    """What the settings mean on a device; says what is switched on, and what cannot be. Without `compiling` steps stay
    plain whatever the settings say."""
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and has_bf16(device))
    compiled = settings.compile and compiling
    if compiled and device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
        say("steps are not compiled: no C++ compiler was found (Debian: apt-get install g++)")
        compiled = False
    if bf16 or compiled:
        number = "bfloat16" if bf16 else "float32"
        say(f"trains in {number}{', steps compiled: the first takes up to a minute' * compiled}")
    return Speed(device, bf16, compiled)


def has_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself, so that it is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(
        known.get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")
    )
