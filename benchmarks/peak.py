"""The fastest convolution of a device: what achieved GMAC/s are a share of."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from edgegan.benchmarks.tflite_graph import conv_model
from edgegan.runtime.session import Place, Session, our_own

# (side, channels, kernel): dense convolutions that fit the caches and keep every kernel busy.
SHAPES = ((32, 64, 3), (32, 128, 1), (16, 128, 3))
STEP_RUNS = 10


class PeakProbe:
    """Measures a few convolutions in fp32 and int8 beside the artefacts, in one worker; the best median counts."""

    def __init__(self, place: Place, threads: int, cpus: Sequence[int] | None) -> None:
        self.stack = contextlib.ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="edgegan-peak-")))
        self.kernels = [(p, *shape) for p in ("fp32", "int8") for shape in SHAPES]
        self.samples_ms: list[list[float]] = [[] for _ in self.kernels]
        self.threads = threads
        try:
            files = []
            for number, (precision, side, channels, kernel) in enumerate(self.kernels):
                files.append(folder / f"{number}.tflite")
                files[-1].write_bytes(conv_model(side, channels, kernel, precision))
            self.session = self.stack.enter_context(
                Session(
                    files[0],
                    runtime="litert",
                    threads=threads,
                    place=place,
                    cpus=cpus,
                    how=our_own(files[0]),
                )
            )
            self.paths = [place.push(file) for file in files]
        except BaseException:
            self.stack.close()
            raise

    def step(self) -> None:
        """A few runs of each."""
        answer = self.session.ask(
            {
                "op": "batch",
                "models": self.paths,
                "runs": STEP_RUNS,
                "count": False,
                "runtime": "litert",
                "threads": self.threads,
            }
        )
        for samples, new in zip(self.samples_ms, answer["samples_ms"], strict=True):
            samples += new

    def gmacs_per_s(self, precision: str) -> float:
        """The best median of the precision; fp16 artefacts compute in fp32."""
        wanted = "int8" if precision == "int8" else "fp32"
        return max(
            (side * channels * kernel) ** 2 / float(np.median(samples)) / 1e6
            for (kind, side, channels, kernel), samples in zip(
                self.kernels, self.samples_ms, strict=True
            )
            if kind == wanted
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
