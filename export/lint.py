"""Mobile lint: patterns in an artefact that are slow or wrong on devices, each with its reason and its cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgegan.artefact import loading
from edgegan.console import table
from edgegan.export.targets import TARGETS

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


def as_text(findings: list[Finding]) -> str:
    """The findings for people."""
    if not findings:
        return "lint: nothing found"
    rows = [[each.rule, str(each.count), each.where, each.cost] for each in findings]
    reasons = "\n".join(f"{each.rule}: {each.reason}" for each in findings)
    return f"{table(['rule', 'found', 'largest', 'cost'], rows)}\n{reasons}"
