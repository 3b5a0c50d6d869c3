"""Proof: an artefact against the PyTorch generator on the same inputs, and the gate it must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgegan.artefact import Parity
from edgegan.errors import ParityError
from edgegan.metrics.quality import psnr
from edgegan.runtime.session import Session

EQUAL_DB = 200.0  # stands for "no difference" in JSON, which has no infinity


@dataclass(frozen=True)
class Gate:
    """What an artefact of one precision must reach against PyTorch, range [-1, 1]."""

    max_abs: float | None = None
    psnr_db: float | None = None

    @property
    def metric(self) -> Literal["max_abs", "psnr_db"]:
        """The figure it limits."""
        return "psnr_db" if self.max_abs is None else "max_abs"

    @property
    def limit(self) -> float:
        """The largest max_abs or the smallest psnr_db that passes."""
        found = self.psnr_db if self.max_abs is None else self.max_abs
        assert found is not None
        return found

    def __str__(self) -> str:
        return (
            f"max abs <= {self.limit:g}"
            if self.metric == "max_abs"
            else f"PSNR >= {self.limit:g} dB"
        )


GATES = {"fp32": Gate(max_abs=1e-4), "fp16": Gate(psnr_db=60.0), "int8": Gate(psnr_db=30.0)}
HALF_LEVEL = 1 / 255  # of a grey level, in [-1, 1]
MAX_INT8_DROP_DB = 1.0
ROUNDING_DB = 0.005  # two runs of one artefact with other thread counts differ by less


def run_artefact(model: Path, layout: str, images: np.ndarray) -> np.ndarray:
    """Runs (N, C, H, W) images through an artefact whose pictures are NHWC or NCHW, in its first runtime; returns
    (N, C, H, W)."""
    with Session(model, threads=2) as session:
        if layout == "NCHW":
            return session.run(images)
        return session.run(np.ascontiguousarray(images.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)


def compare(
    output: np.ndarray,
    reference: np.ndarray,
    precision: str,
    exact: np.ndarray | None = None,
) -> Parity:
    """Differences of an artefact's output and PyTorch's, both (N, C, H, W). Of one that gives bytes, `exact` is
    PyTorch's before rounding: max_abs is then by how much a byte is more than half a level from it."""
    if exact is None:
        largest = float(np.abs(output - reference).max())
    else:
        largest = max(0.0, float(np.abs(output - exact.clip(-1, 1)).max()) - HALF_LEVEL)
    return Parity(
        inputs=len(reference),
        max_abs=largest,
        psnr_db=min(EQUAL_DB, psnr(output, reference)),
        gate=str(GATES[precision]),
        metric=GATES[precision].metric,
        limit=GATES[precision].limit,
    )


def against_double(parity: Parity, noise: float) -> Parity:
    """The same for differences to PyTorch in float64: an artefact may be as far from it as PyTorch's own float32."""
    limit = max(parity.limit or 0.0, noise)
    gate = (
        f"max abs <= {limit:.2g} to float64, from which PyTorch's own float32 is {noise:.1e} away"
    )
    return parity.model_copy(update={"gate": gate, "limit": limit})


def check(
    parity: Parity,
    precision: str,
    name: str,
    ranking: Sequence[dict[str, Any]] = (),
    *,
    has_teacher: bool = True,
) -> None:
    """Raises ParityError naming the artefact, the figure, the limit, the layer int8 costs most and what to try;
    `has_teacher`: --max-drop has something to compare with."""
    gate = GATES[precision]
    largest = gate.max_abs if parity.limit is None else parity.limit
    if gate.max_abs is not None and largest is not None and not parity.max_abs <= largest:
        raise ParityError(
            f"{name}: largest difference to PyTorch is {parity.max_abs:.2e}, the gate is {largest:g}; "
            "the conversion is wrong: please report it with the log beside it"
        )
    if gate.psnr_db is not None and not parity.psnr_db >= gate.psnr_db:
        advice = "use --precision fp32"
        if precision == "int8":
            drop = "--max-drop 0.3 (keeps the worst layers float), " if has_teacher else ""
            advice = f"try --int8 mixed, {drop}other --calibration images or --precision fp16"
        reached_db = math.floor(parity.psnr_db * 100) / 100
        raise ParityError(
            f"{name}: PSNR to PyTorch is {reached_db:.2f} dB, the gate is {gate.psnr_db:g} dB"
            f"{worst_layer(ranking)}; {advice}"
        )


def worst_layer(ranking: Sequence[dict[str, Any]]) -> str:
    """The layer that leads a sensitivity ranking, in words for a message; empty when nothing was ranked."""
    if not ranking:
        return ""
    first = ranking[0]
    return f"; int8 costs most in layer {first['layer']} ({first['gain_db']:+.1f} dB when it stays float)"


def drop_limit(max_drop_db: float | None) -> float:
    """How much further from the teacher than fp32 an int8 student may be, in dB: what was asked for, or the gate."""
    return MAX_INT8_DROP_DB if max_drop_db is None else max_drop_db


def check_drop(
    name: str,
    int8_db: float,
    fp32_db: float,
    max_drop_db: float | None = None,
    ranking: Sequence[dict[str, Any]] = (),
) -> None:
    """Raises ParityError when int8 is further from the teacher than the fp32 student by more than the limit allows."""
    limit = drop_limit(max_drop_db)
    if not int8_db >= fp32_db - limit - ROUNDING_DB:
        advice = (
            f"add --max-drop {limit:g} to keep its worst layers float"
            if max_drop_db is None
            else "no choice of float layers reaches it: try --int8 dynamic or --int8 mixed"
        )
        raise ParityError(
            f"{name}: PSNR to the teacher is {int8_db:.2f} dB, {fp32_db - int8_db:.2f} dB below the fp32 student; "
            f"the gate is {limit:g} dB{worst_layer(ranking)}; {advice}, give --calibration images like those it will "
            "see, or use --precision fp16"
        )
