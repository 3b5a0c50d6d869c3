"""Whether one method is better than another: differences within seeds, with an interval over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgegan.compare.comparison import Entry

REFERENCE = "slimming"
NORMAL = 1.959964  # 97.5 % point
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


@dataclass(frozen=True)
class Verdict:
    """How much better a method is than another, in dB of `figure`: the mean over seeds and its 95 % interval (Student's
    t on the differences within each seed); None for the interval of a single seed."""

    figure: str
    mean: float
    interval: tuple[float, float] | None

    @property
    def shown(self) -> bool:
        """Whether there is a difference: the interval does not hold zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.mean:+.2f} dB, one seed"
        low, high = self.interval
        words = f"{self.mean:+.2f} dB ({low:+.2f} to {high:+.2f})"
        return words if self.shown else f"{words}: no difference shown"


def reference_of(entries: Sequence[Entry]) -> str:
    """The method that the others are held against: ours where it was trained, else the first."""
    methods = [entry.method for entry in entries]
    return REFERENCE if REFERENCE in methods else methods[0]


def verdicts(entries: Sequence[Entry]) -> dict[str, Verdict]:
    """Each method against the reference, by the int8 file where all were exported, else by its simulation."""
    reference = reference_of(entries)
    exported = all(entry.file_psnr_db is not None for entry in entries)
    figure = "file_psnr_db" if exported else "int8_psnr_db"
    values = {(entry.method, entry.seed): getattr(entry, figure) for entry in entries}
    found = {}
    for method in dict.fromkeys(entry.method for entry in entries):
        differences = [
            value - values[reference, seed]
            for (own, seed), value in values.items()
            if own == method and (reference, seed) in values
        ]
        if method != reference and differences:
            found[method] = judge(figure, differences)
    return found


def judge(figure: str, differences: Sequence[float]) -> Verdict:
    """The verdict on these differences, one a seed."""
    count = len(differences)
    mean = sum(differences) / count
    if count == 1:
        return Verdict(figure, mean, None)
    variance = sum((each - mean) ** 2 for each in differences) / (count - 1)
    half = student_t(count - 1) * math.sqrt(variance / count)
    return Verdict(figure, mean, (mean - half, mean + half))


def student_t(freedom: int) -> float:
    """The 97.5 % point of Student's t; beyond a table by its expansion in 1 / freedom (Abramowitz, Stegun 26.7.5)."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2
