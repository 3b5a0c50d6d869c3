"""evaluate.json in a run: what `edgegan evaluate` found, for the report and for comparisons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgegan.errors import InputError
from edgegan.files import read_json, write_json
from edgegan.run import Run

EVALUATION_FILE = "evaluate.json"
SCHEMA_VERSION = 1
OLD_NAME = re.compile(r"^map(?=$|_)")  # of average precision, until 2026


def keep_evaluation(folder: Path, result: dict[str, Any]) -> Path:
    """Adds an evaluation to a run's evaluate.json, in place of an earlier one of the same subject; returns the file."""
    with Run.open(folder).locked():
        kept = [each for each in read_evaluations(folder) if each["subject"] != result["subject"]]
        path = folder / EVALUATION_FILE
        write_json(path, {"schema_version": SCHEMA_VERSION, "evaluations": [*kept, result]})
    return path


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """A run's evaluations, oldest first; none when it was not evaluated. Figures are those of `protocol.Figure`."""
    path = folder / EVALUATION_FILE
    if not path.is_file():
        return []
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path} is not what edgegan evaluate writes; remove it and evaluate again"
        )
    listed = found.get("evaluations")
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and isinstance(each.get("subject"), str) for each in listed
    ):
        raise InputError(f"{path} lists no evaluations; remove it and evaluate again")
    for each in listed:
        for figure in each.get("figures") or ():
            if isinstance(figure, dict) and isinstance(name := figure.get("name"), str):
                figure["name"] = OLD_NAME.sub("average_precision", name)
    return listed
