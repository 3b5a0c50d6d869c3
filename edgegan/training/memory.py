"""Running out of memory, said in the words of the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgegan.errors import DeviceError


@contextmanager
def explain_out_of_memory(
    device: str, batch: int, size: tuple[int, int], lower: Sequence[str]
) -> Iterator[None]:
    """Turns an allocator's failure into DeviceError naming batch, resolution and the keys to lower.

    The last checkpoint stays: the same command goes on from it where the keys changed allow that.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # Known by name, so that this module does not import torch; the CPU's allocator has no class of its own.
        if type(error).__name__ not in (
            "OutOfMemoryError",
            "MemoryError",
        ) and "DefaultCPUAllocator" not in str(error):
            raise
        first = (str(error).strip().splitlines() or ["no details"])[0]
        where = "GPU" if device.startswith("cuda") else "machine"
        other = ", or set device: cpu" if where == "GPU" else ""
        raise DeviceError(
            f"the {where} ran out of memory at batch {batch} and {size[0]}x{size[1]} pixels ({first}); "
            f"lower {', '.join(lower)}{other}"
        ) from error
