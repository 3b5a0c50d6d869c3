"""Artefacts timed in turn, a few inferences of each a round, every one in its own process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgegan.console import say
from edgegan.errors import EdgeGANError
from edgegan.runtime.session import Session

# Values of a random input, by its type; of uint8, class numbers.
REACH = {"int8": (-64, 64), "uint8": (0, 12), "float32": (-1, 1)}
MOST_RUNS = 200


def time_rounds(
    artefacts: Mapping[str, Path], threads: int, rounds: int, seconds: float
) -> dict[str, list[list[float]]]:
    """Milliseconds of every artefact, round by round, about `seconds` of each a round; what does not load is said."""
    sessions: dict[str, Session] = {}
    runs: dict[str, int] = {}
    try:
        for label, path in artefacts.items():
            try:
                sessions[label] = Session(path, threads=threads)
            except EdgeGANError as error:
                say(f"{label} does not load: {error}")
                continue
            warm = sessions[label].time(3, draw_input(sessions[label]))["samples_ms"]
            runs[label] = max(1, min(MOST_RUNS, int(seconds * 1e3 / min(warm))))
        samples: dict[str, list[list[float]]] = {label: [] for label in sessions}
        for _ in range(rounds):
            for label, session in sessions.items():
                samples[label].append(list(session.time(runs[label])["samples_ms"]))
        return samples
    finally:
        for session in sessions.values():
            session.close()


def draw_input(session: Session) -> np.ndarray:
    """Random values of the input's shape and type; free sizes are 1."""
    first = session.inputs[0]
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in first["shape"]]
    kind = first["dtype"].removeprefix("tensor(").rstrip(")")
    kind = kind if kind in REACH else "float32"
    return np.random.default_rng(0).uniform(*REACH[kind], shape).astype(kind)


def pooled(rounds: list[list[float]]) -> list[float]:
    """The samples of all rounds."""
    return [value for each in rounds for value in each]
