"""How much memory a process may still take: what the machine, its container and its own limit leave."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

UNKNOWN_BYTES = 2_000_000_000
CONTAINER = Path("/sys/fs/cgroup")


def spare_memory() -> int:
    """Bytes, the smallest of what is known; 2 GB where nothing is."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(each.split()[1]) * 1024 for each in lines if each.startswith("MemAvailable")]
    with contextlib.suppress(OSError, ValueError):
        limit = int((CONTAINER / "memory.max").read_text(encoding="ascii"))
        found.append(limit - int((CONTAINER / "memory.current").read_text(encoding="ascii")))
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            found.append(soft - pages * resource.getpagesize())
    return max(0, min(found, default=UNKNOWN_BYTES))
