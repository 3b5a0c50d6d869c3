"""Several processes of one run, started by torchrun: who is who, and what they tell each other.

Without torchrun there is one process and every function here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=2)  # others wait while the first process fills caches
Value = TypeVar("Value")


def rank() -> int:
    """This process's number, 0 for the one that writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes the run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes files and talks to the user."""
    return rank() == 0


def start(device: torch.device) -> torch.device:
    """Joins the other processes; returns the device of this one (its own GPU when there are several)."""
    if world_size() == 1:
        return device
    import torch
    import torch.distributed as dist

    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return device


def finish() -> None:
    """Leaves the group."""
    if world_size() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


def wait() -> None:
    """Returns when every process has come here."""
    if world_size() > 1:
        import torch.distributed as dist

        dist.barrier()


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes; one that a process has not counts as zero."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in chosen]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for each, mean in zip(chosen, flat.split([each.numel() for each in chosen]), strict=True):
        each.grad = mean.view_as(each).clone()


def average(values: dict[str, float]) -> dict[str, float]:
    """The mean of every value over the processes."""
    if world_size() == 1:
        return values
    import torch
    import torch.distributed as dist

    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    row = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(row)
    return dict(zip(values, (row / world_size()).tolist(), strict=True))


def share(values: dict[Any, Value]) -> dict[Any, Value]:
    """The dictionaries of all processes in one."""
    if world_size() == 1:
        return values
    import torch.distributed as dist

    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, values)
    return {key: value for part in parts for key, value in part.items()}
