"""Single files of ours in folders of the user's: known by what they say of themselves, and only then replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from edgegan.errors import OutputError
from edgegan.ownership.layouts import is_report

HEAD_BYTES, TAIL_BYTES, LARGEST_JSON = 1024, 256, 1 << 28
SOFTWARE = "edgegan"  # the PNG text "Software" of a result
PAGE_MARK = b"<title>edgegan report: "
TEXT_END = re.compile(rb"\n\nWritten [0-9T:+-]{25}\.\n")
CSV_MARK = b"schema_version,device,artefact,sha256,"


def head(path: Path) -> bytes:
    """How a file begins."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_result(path: Path) -> bool:
    """Whether a PNG was made by `edgegan run`."""
    return b"tEXtSoftware\0" + SOFTWARE.encode() in head(path)


def is_report_page(path: Path) -> bool:
    """Whether an HTML file is a report."""
    return PAGE_MARK in head(path)


def is_report_text(path: Path) -> bool:
    """Whether a Markdown file is a report."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return re.search(TEXT_END.pattern + rb"\Z", file.read()) is not None


def is_report_facts(path: Path) -> bool:
    """Whether a JSON file is a report."""
    try:
        with path.open("rb") as file:
            return is_report(json.loads(file.read(LARGEST_JSON)))
    except (ValueError, RecursionError):
        return False


def is_table(path: Path) -> bool:
    """Whether a CSV file was written by `edgegan bench`."""
    return head(path).startswith(CSV_MARK)


def check_replaceable(path: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raises OutputError where a file stands that edgegan did not write, or a link."""
    try:
        if path.is_symlink() or (path.exists() and not (path.is_file() and is_ours(path))):
            raise OutputError(
                f"{path} exists and was not written by edgegan; move it away or choose another with -o"
            )
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose another with -o"
        ) from error
