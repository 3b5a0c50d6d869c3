"""How a bench measures: how long, how often, on which cores, with what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIN_RUNS = 30
MLPERF_SECONDS, MLPERF_RUNS = 60.0, 1024


@dataclass(frozen=True)
class Method:
    """How long, how often, on which cores. MLPerf-like: 60 s and 1024 inferences at least, p90 is the figure.

    `cpus` are core numbers; without them the strongest cluster is taken when `big_cores`. `tool` is LiteRT's
    benchmark_model, for a device that cannot run the worker.
    """

    seconds: float = 10.0
    min_runs: int = MIN_RUNS
    max_seconds: float = 150.0
    rounds: int = 10
    cooldown_s: float = 10.0
    big_cores: bool = True
    cpus: tuple[int, ...] | None = None
    profile: bool = False
    peak: bool = True
    mlperf_like: bool = False
    tool: Path | None = None

    @staticmethod
    def mlperf(**other: Any) -> Method:
        """Single stream as MLPerf Mobile's rules ask."""
        wide = {"seconds": MLPERF_SECONDS, "min_runs": MLPERF_RUNS, "max_seconds": 1800.0}
        return Method(**{**other, **wide, "mlperf_like": True})
