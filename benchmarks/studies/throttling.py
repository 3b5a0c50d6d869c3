"""make bench-throttling: is a worker that slows by a fifth in its sixth second called UNSTABLE, and a steady one not?

python -m edgegan.benchmarks.studies.throttling [TIMES] runs each TIMES times (20) for ten seconds on one core. The
slowing comes from a real busy sibling on the same core with a fifth of its time.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

from edgegan.benchmarks.timing import verdict
from edgegan.console import emit, progress

TIMES = 20
SECONDS, SLOW_FROM_S = 10.0, 5.0
WORK = 60_000  # additions: a few milliseconds
SIBLING_NICENESS = 7  # 215 of 1239 scheduler shares (Linux, sched_prio_to_weight): the worker takes 1.21 times as long


def spin() -> float:
    """Milliseconds of a fixed amount of work."""
    began = time.perf_counter()
    total = 0
    for number in range(WORK):
        total += number
    return (time.perf_counter() - began) * 1e3


def start_sibling(cpu: int) -> subprocess.Popen[bytes]:
    """A process that wants all of one core, at low priority."""
    code = f"import os; os.sched_setaffinity(0, [{cpu}]); os.nice({SIBLING_NICENESS})\nwhile True: pass"
    return subprocess.Popen([sys.executable, "-c", code])


def trial(cpu: int, *, slow: bool) -> str:
    """The verdict on ten seconds of work."""
    samples = []
    sibling = None
    began = time.monotonic()
    try:
        while time.monotonic() - began < SECONDS:
            if slow and sibling is None and time.monotonic() - began >= SLOW_FROM_S:
                sibling = start_sibling(cpu)
            samples.append(spin())
    finally:
        if sibling is not None:
            sibling.kill()
            sibling.wait()
    return str(verdict(samples)["verdict"])


def main() -> None:
    """See the module."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [cpu])
    with contextlib.suppress(PermissionError):
        os.nice(-5)
    found = {"slowing": 0, "steady": 0}
    with progress("throttling", 2 * times) as bar:
        for number in range(times):
            found["slowing"] += trial(cpu, slow=True) == "UNSTABLE"
            found["steady"] += trial(cpu, slow=False) == "UNSTABLE"
            bar.step(2 * number + 2)
    emit(
        f"called UNSTABLE: {found['slowing']} of {times} slowing, {found['steady']} of {times} steady"
    )


if __name__ == "__main__":
    main()
