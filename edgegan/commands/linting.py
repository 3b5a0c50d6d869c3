"""lint: what in an artefact is slow or wrong on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, Deadline, Trust, limit_foreign, show


def lint(
    artefact: Annotated[Path, typer.Argument(help=".tflite or .onnx, made by edgegan or not")],
    strict: Annotated[bool, typer.Option("--strict", help="exit 3 when anything is found")] = False,
    trust: Trust = False,
    deadline: Deadline = None,
    as_json: AsJson = False,
) -> None:
    """Find patterns that mobile runtimes run slowly or wrongly, each with its reason and cost."""
    limit_foreign(trust, deadline)
    from edgegan.artefact import loading
    from edgegan.errors import InputError, LintError

    if not artefact.exists():
        raise InputError(f"artefact {artefact} does not exist; make it with: edgegan export")
    loading(artefact)
    from edgegan.export.lint import as_text, lint_apart

    findings = lint_apart(artefact)
    show([each.as_dict() for each in findings], as_json, as_text(findings))
    if strict and findings:
        raise LintError(
            f"{artefact}: {len(findings)} lint findings, --strict allows none; export it with edgegan, whose rewrites "
            "remove them, or leave --strict out"
        )
