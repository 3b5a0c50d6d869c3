"""Mobile lint: patterns in an artefact that are slow or wrong on devices, each with its reason and its cost."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgegan.artefact import loading
from edgegan.console import table
from edgegan.errors import (
    EXIT_MISSING,
    EXIT_USAGE,
    DeviceError,
    EdgeGANError,
    InputError,
    MissingDependency,
)
from edgegan.export.targets import TARGETS
from edgegan.processes import Overrun, run_bounded
from edgegan.runtime.confine import NOT_CONFINED
from edgegan.runtime.limits import (
    JUDGE_S,
    LONGER,
    MEMORY,
    confined,
    deadline_s,
    memory_bytes,
    refuse_unconfined,
)
from edgegan.streams import printable

SMALL = 4096  # elements below which nothing is worth a finding


@dataclass(frozen=True)
class Finding:
    """One forbidden pattern with everything it was found in."""

    rule: str
    count: int
    where: str
    reason: str
    cost: str

    def as_dict(self) -> dict[str, Any]:
        """For model.json and --json."""
        return asdict(self)


def lint(path: Path) -> list[Finding]:
    """The findings of an artefact, made by edgegan or not."""
    return TARGETS[loading(path).target].lint(path)


def lint_apart(path: Path) -> list[Finding]:
    """The same, of an .onnx in a confined child: its types are inferred by a library that is neither ours nor bounded.

    Raises DeviceError at its deadline, when it needs too much memory, and where nothing confines it.
    """
    how = loading(path)
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is no file; give an artefact")
    if how.target != "onnx":
        return lint(path)
    command = [sys.executable, "-m", "edgegan.export.lint", str(path.absolute())]
    with tempfile.TemporaryDirectory(prefix="edgegan-") as folder:
        most = memory_bytes(path.stat().st_size, how.foreign)
        try:
            done = run_bounded(confined(command, Path(folder), most), deadline_s(JUDGE_S))
        except Overrun as error:
            raise DeviceError(f"lint of {path}: {error}; {LONGER}") from error
    if done.code == NOT_CONFINED:
        if how.foreign:
            refuse_unconfined(path)
        return lint(path)
    if done.code == EXIT_USAGE:
        raise InputError(done.output.strip())
    if done.code == EXIT_MISSING:
        raise MissingDependency(done.output.strip())
    if done.code != 0:
        raise DeviceError(
            f"{path} cannot be linted: {done.last_words()}; allow more memory with {MEMORY}=MEGABYTES, "
            "or export it again"
        )
    return [Finding(**each) for each in json.loads(done.output)]


def main() -> None:
    """In the child: findings as JSON on stdout, or one line about a file that cannot be read."""
    try:
        sys.stdout.write(json.dumps([each.as_dict() for each in lint(Path(sys.argv[1]))]))
    except EdgeGANError as error:
        sys.stdout.write(str(error))
        sys.exit(error.exit_code)


def as_text(findings: list[Finding]) -> str:
    """The findings for people."""
    if not findings:
        return "lint: nothing found"
    rows = [[each.rule, str(each.count), each.where, each.cost] for each in findings]
    reasons = "\n".join(printable(f"{each.rule}: {each.reason}") for each in findings)
    return f"{table(['rule', 'found', 'largest', 'cost'], rows)}\n{reasons}"


if __name__ == "__main__":
    main()
