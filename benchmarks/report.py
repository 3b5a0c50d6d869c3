"""`edgegan report`: one HTML file that opens offline, with the same facts as Markdown and JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from pydantic import BaseModel

from edgegan.benchmarks.reporting.columns import (
    STAGE_COLUMNS,
    front_columns,
    page_cells,
    page_columns,
)
from edgegan.benchmarks.reporting.facts import RunFacts, gather
from edgegan.benchmarks.reporting.gallery import Gallery, make_gallery
from edgegan.benchmarks.reporting.headline import Headline, macs
from edgegan.benchmarks.reporting.markdown import render_markdown
from edgegan.benchmarks.reporting.side_by_side import compare_runs
from edgegan.errors import ConfigError
from edgegan.files import make_folder, write_atomic
from edgegan.ownership.folders import listed_below
from edgegan.ownership.marks import (
    check_replaceable,
    is_report_facts,
    is_report_page,
    is_report_text,
)
from edgegan.run import Run, now
from edgegan.streams import printable

SCHEMA_VERSION = 1
GALLERY_IMAGES = 8
SUFFIXES = (".html", ".htm")


def report(
    folders: Sequence[Path], output: Path | None = None
) -> tuple[Path, dict[str, list[Headline]]]:
    """Writes the report of runs that were exported (and benched, for latency): HTML, and beside it .md and .json.

    Returns the HTML's path and each run's headline. Raises ConfigError when several runs come without `output`.
    """
    path = output_path(folders, output)
    if output is not None:
        check_replaceable(path, is_report_page)
        check_replaceable(path.with_suffix(".md"), is_report_text)
        check_replaceable(path.with_suffix(".json"), is_report_facts)
    written = now()
    runs: list[tuple[RunFacts, Gallery]] = []
    for folder, label in zip(folders, labels(folders), strict=True):
        found, models = gather(folder, label)
        count = GALLERY_IMAGES if len(folders) == 1 else max(2, GALLERY_IMAGES // len(folders))
        runs.append((found, make_gallery(Run.open(folder), models, count)))
    facts = [each for each, _ in runs]
    tables = compare_runs(facts)
    page = (
        environment()
        .get_template("report.html")
        .render(runs=runs, tables=tables, written=written, title=page_title(facts))
    )
    values = {
        "schema_version": SCHEMA_VERSION,
        "written": written,
        "runs": [asdict(each) for each in facts],
        "comparison": [asdict(table) for table in tables],
    }
    contents = {
        ".md": render_markdown(facts, tables, written),
        ".json": json.dumps(values, indent=2, default=plain) + "\n",
        path.suffix: page,
    }
    make_folder(path.parent)
    with ExitStack() as stack:
        if output is None:
            stack.enter_context(listed_below(path.parent, "run"))
        for suffix, text in contents.items():
            write_atomic(path.with_suffix(suffix), text.encode())
    return path, {each.label: each.headline for each in facts}


def output_path(folders: Sequence[Path], output: Path | None) -> Path:
    """Where the HTML goes; raises ConfigError when that is not clear, or when a run is named twice."""
    if not folders:
        raise ConfigError("name at least one run: edgegan report RUN")
    if len({folder.resolve() for folder in folders}) != len(folders):
        raise ConfigError("a run is named twice; each can stand beside others once")
    if output is None and len(folders) > 1:
        raise ConfigError(
            "several runs make one report: say where it goes, such as -o comparison.html"
        )
    path = output or folders[0] / "report.html"
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"-o {path}: name an .html file; its .md and .json twins are written beside it"
        )
    return path


def labels(folders: Sequence[Path]) -> list[str]:
    """What each run is called: its folder's name, or its path where names are equal."""
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]


def page_title(facts: Sequence[RunFacts]) -> str:
    """The recipe's name, or the runs'."""
    return facts[0].name if len(facts) == 1 else " and ".join(each.label for each in facts)


def environment() -> jinja2.Environment:
    """Templates with every name escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("edgegan.benchmarks", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    made.filters["macs"] = macs
    made.globals.update(
        page_columns=page_columns,
        page_cells=page_cells,
        front_columns=front_columns,
        stage_columns=STAGE_COLUMNS,
    )
    return made


def shown(value: Any) -> Any:
    """What a template prints of a value: text without controls that a reader would not see."""
    return printable(value, keep="\n\t") if type(value) is str else value


def plain(value: Any) -> Any:
    """Pydantic models as JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} in a report")
