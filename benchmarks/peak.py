"""The fastest convolution of a device: what achieved GMAC/s are a share of."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from edgegan.benchmarks.tflite_graph import conv_model

from edgegan.runtime import Place, Session

# (side, channels, kernel): dense convolutions that fit the caches and keep every kernel busy.
SHAPES = ((32, 64, 3), (32, 128, 1), (16, 128, 3))
STEP_RUNS = 10


@dataclass
class Kernel:
    """One convolution under measurement."""

    session: Session
    macs: int
    precision: str
    samples_ms: list[float] = field(default_factory=list)


class PeakProbe:
    """Measures a few convolutions in fp32 and int8 beside the artefacts; the best median counts."""

    def __init__(self, place: Place, threads: int, cpus: Sequence[int] | None) -> None:
        self.kernels: list[Kernel] = []
        self.stack = contextlib.ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="edgegan-peak-")))
        try:
            for precision in ("fp32", "int8"):
                for side, channels, kernel in SHAPES:
                    path = folder / f"{precision}_{side}_{channels}_{kernel}.tflite"
                    path.write_bytes(conv_model(side, channels, kernel, precision))
                    session = self.stack.enter_context(
                        Session(path, runtime="litert", threads=threads, place=place, cpus=cpus)
                    )
                    macs = side * side * channels * channels * kernel * kernel
                    dtype = np.float32 if precision == "fp32" else np.int8
                    session.time(STEP_RUNS, np.zeros((1, side, side, channels), dtype))
                    self.kernels.append(Kernel(session, macs, precision))
        except BaseException:
            self.stack.close()
            raise

    def step(self) -> None:
        """A few runs of each."""
        for kernel in self.kernels:
            kernel.samples_ms += kernel.session.time(STEP_RUNS)["samples_ms"]

    def gmacs_per_s(self, precision: str) -> float:
        """The best median of the precision; fp16 artefacts compute in fp32."""
        wanted = "int8" if precision == "int8" else "fp32"
        return max(
            k.macs / float(np.median(k.samples_ms)) / 1e6
            for k in self.kernels
            if k.precision == wanted
        )

    def __enter__(self) -> PeakProbe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()
