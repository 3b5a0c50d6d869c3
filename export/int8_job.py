"""What a converter's child process is given to make an int8 artefact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgegan.console import say
from edgegan.errors import ConfigError
from edgegan.export.parity import GATES
from edgegan.export.policy import Int8Options
from edgegan.export.sources import Source, own_golden
from edgegan.package import read_config

HEAVY_MACS = 5_000_000_000
HEAVY_CALIBRATION_IMAGES = 8


def int8_job(
    source: Source, work: Path, options: Int8Options, macs: int
) -> tuple[dict[str, Any], str | None]:
    """What the child needs for int8, with its arrays stored in `work`; and a line that says what calibrates it. The
    policy is settled."""
    job: dict[str, Any] = {
        "policy": options.policy,
        "method": options.method,
        "sensitivity": options.sensitivity,
        "max_drop_db": None,
        "gate_db": GATES["int8"].psnr_db,
        "proof": store(work, "proof", source.images),
    }
    if source.validation is not None and source.teacher_outputs is not None:
        job["max_drop_db"] = options.max_drop_db
        job["validation"] = store(work, "validation", source.validation)
        job["teacher_outputs"] = store(work, "teacher_outputs", source.teacher_outputs)
    elif options.max_drop_db is not None:
        say(f"--max-drop compares students with their teacher: it does not apply to {source.role}")
    if options.policy == "dynamic":
        return job, None
    if source.calibration is None:
        raise ConfigError(f"int8 of {source.folder} needs example images: give --calibration DIR")
    job |= learned_ranges(source, options.method, work, options.policy)
    images, note = source.calibration, source.calibration_note
    if macs > HEAVY_MACS and len(images) > HEAVY_CALIBRATION_IMAGES:
        images = images[:: len(images) // HEAVY_CALIBRATION_IMAGES][:HEAVY_CALIBRATION_IMAGES]
        note = f"{len(images)} of {note}, evenly spaced (a heavy net: calibration takes seconds an image)"
        say(f"int8 calibration uses {note}")
    job["calibration"] = store(work, "calibration", images)
    return job, note


def learned_ranges(source: Source, method: str, work: Path, policy: str) -> dict[str, Any]:
    """The part of a job that says to go by the ranges that training learned, where it did and nothing else is asked
    for; else nothing."""
    config = read_config(source.folder)
    fits = bool(config.int8_ranges) and source.size == config.size and policy != "int16x8"
    if method == "learned" and not fits:
        raise ConfigError(
            f"--calibration-method learned: {source.folder} has no learned ranges for this size and policy; "
            "leave it out"
        )
    if method not in ("auto", "learned") or not fits:
        return {}
    golden = store(work, "golden", own_golden(source.folder, config)[:1])
    ends = [each.model_dump() for each in config.int8_ranges]
    return {"method": "learned", "learned": ends, "golden": golden}


def store(work: Path, name: str, values: np.ndarray) -> str:
    """Saves an array for the child; returns its path."""
    np.save(work / f"{name}.npy", values)
    return str((work / f"{name}.npy").resolve())
