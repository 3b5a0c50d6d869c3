"""Whether a student is worth running: nearer to its teacher than the picture that goes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def no_gain(figures: Mapping[str, Any]) -> str | None:
    """What is wrong with a student of these figures of a run; None where nothing is, or where its input is no picture
    that could be compared."""
    student, untouched = figures.get("psnr_to_teacher_db"), figures.get("identity_psnr_db")
    if student is None or untouched is None or student > untouched:
        return None
    return (
        "the student is not nearer to its teacher than the untouched input: "
        f"PSNR {student:.2f} dB against {untouched:.2f} dB"
    )
