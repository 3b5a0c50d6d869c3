"""doctor and recipes: what is here and what there is to run."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from edgegan.commands.options import AsJson, show


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed and works, and what each missing piece would enable, with the command that installs it."""
    from edgegan.doctor import examine, report, report_text

    checks = examine()
    show(report(checks), as_json, report_text(checks))


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="print this recipe, to be saved and changed")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the shipped recipes: what each reproduces, on which hardware, how long it takes, what to expect."""
    from edgegan.recipe.headers import all_headers, find_header

    if name is not None:
        header = find_header(name)
        fields = {"name": header.name, **header.fields, "yaml": header.text}
        show(fields, as_json, header.text.rstrip())
        return
    found = all_headers()
    blocks = []
    for header in found:
        lines = [f"{header.name}: {header.description}"]
        entries = {"About": header.notes, **header.fields} if header.notes else header.fields
        for field, words in entries.items():
            lines += textwrap.wrap(
                words, 100, initial_indent=f"  {field.lower():11} ", subsequent_indent=" " * 14
            )
        blocks.append("\n".join(lines))
    listed = [{"name": h.name, "description": h.description, **h.fields} for h in found]
    following = (
        "print one: edgegan recipes NAME; run one: edgegan compress NAME --teacher ... -o RUN"
    )
    show(listed, as_json, "\n\n".join([*blocks, following]))
