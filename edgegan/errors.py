"""Exceptions that carry an exit code. Every message says what failed, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_GATE = 3
EXIT_MISSING = 4
EXIT_INTERRUPTED = 130


class EdgeGANError(Exception):
    """Base of everything a user can cause. `exit_code` is what `edgegan` returns."""

    exit_code = EXIT_USAGE


class ConfigError(EdgeGANError):
    """A recipe, option or value that cannot be used (exit 2)."""


class InputError(EdgeGANError):
    """A file or folder that is missing, unreadable or of the wrong kind (exit 2)."""


class CheckpointError(EdgeGANError):
    """A checkpoint whose format, keys, shapes or values cannot be used (exit 2)."""


class OutputError(EdgeGANError):
    """An output that exists already or cannot be written (exit 2)."""


class IntegrityError(EdgeGANError):
    """A file whose sha256 is not the one its manifest states (exit 3)."""

    exit_code = EXIT_GATE


class ParityError(EdgeGANError):
    """An artefact whose outputs differ from PyTorch's by more than its gate allows (exit 3)."""

    exit_code = EXIT_GATE


class PartError(EdgeGANError):
    """Some of the inputs cannot be used; the others were done (exit 3)."""

    exit_code = EXIT_GATE


class QualityError(EdgeGANError):
    """A student that does less than no student would (exit 3)."""

    exit_code = EXIT_GATE


class LintError(EdgeGANError):
    """An artefact with lint findings where none are allowed (exit 3)."""

    exit_code = EXIT_GATE


class TrainingError(EdgeGANError):
    """A training that cannot go on, such as one whose loss became NaN (exit 3)."""

    exit_code = EXIT_GATE


class BudgetError(EdgeGANError):
    """A budget that cannot be met (exit 3)."""

    exit_code = EXIT_GATE


class MissingDependency(EdgeGANError):
    """An optional package that is not installed or does not load (exit 4)."""

    exit_code = EXIT_MISSING


class DeviceError(EdgeGANError):
    """A device or runtime that is not there or failed (exit 4)."""

    exit_code = EXIT_MISSING


def first_problem(error: Any) -> str:
    """The first finding of a pydantic ValidationError as "dotted.key: what is wrong"."""
    found = error.errors()[0]
    key = ".".join(str(part) for part in found["loc"])
    return f"{key[:200]}: {found['msg'][:500]}"


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint naming the candidate most like `name`, or an empty string when none is near."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
