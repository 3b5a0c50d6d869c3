"""Writes docs/reference.md from the recipe's schema and the commands: `make reference`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from typer.models import ArgumentInfo, OptionInfo

from edgegan import errors
from edgegan.cli import COMMANDS
from edgegan.commands.devices import devices
from edgegan.commands.preparing import data
from edgegan.recipe.schema import Recipe

FILE = Path(__file__).with_name("reference.md")
CODES = {
    0: "done",
    errors.EXIT_BUG: "a bug of edgegan: the traceback is printed",
    errors.EXIT_USAGE: "wrong usage, recipe or input",
    errors.EXIT_GATE: "a gate failed: parity, quality, integrity, budget, training",
    errors.EXIT_MISSING: "a dependency or a device is missing",
    errors.EXIT_INTERRUPTED: "interrupted; the same command goes on from what is finished",
}
KINDS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
OPENING = """# Reference

Every command, exit code and recipe key. This file is written by `make reference` from the commands and the schema, and
a test holds it equal to them; how the steps are used is in the [guide](guide.md).
"""


def reference() -> str:
    """The whole document."""
    return "\n".join([OPENING, *exit_codes(), *commands(), *recipe_keys()])


def exit_codes() -> Iterator[str]:
    """The table of exit codes, with the exceptions that carry each."""
    yield "## Exit codes\n"
    rows = []
    for code, meaning in CODES.items():
        raised = [
            f"`{name}`"
            for name, kind in vars(errors).items()
            if isinstance(kind, type)
            and issubclass(kind, errors.EdgeGANError)
            and kind is not errors.EdgeGANError
            and kind.exit_code == code
        ]
        rows.append([str(code), meaning, ", ".join(raised)])
    yield from table(["code", "meaning", "exceptions of `edgegan.errors`"], rows)


def commands() -> Iterator[str]:
    """Every command with its arguments and options, in the order of `edgegan --help`."""
    yield "## Commands\n"
    yield "`edgegan --version` prints the version, `edgegan --install-completion` adds completion to your shell.\n"
    for name, command in COMMANDS.items():
        yield from command_section(name, command)
    for group, inner in {"devices": devices, "data": data}.items():
        for registered in inner.registered_commands:
            command = registered.callback
            assert command is not None
            yield from command_section(f"{group} {registered.name or command.__name__}", command)


def command_section(name: str, command: Callable[..., Any]) -> Iterator[str]:
    """One command: how it is written, what it does, a table of what it takes."""
    rows, words, optional = [], ["edgegan", name], False
    for parameter, kind, info, default in parameters(command):
        written = (
            argument(parameter, kind)
            if isinstance(info, ArgumentInfo)
            else option(parameter, kind, info)
        )
        if default is ...:
            words.append(re.sub(r"`, `[^`]*", "", written).replace("`", ""))
        elif isinstance(info, ArgumentInfo):
            words.append(f"[{written.strip('`')}]")
        optional = optional or (isinstance(info, OptionInfo) and default is not ...)
        rows.append([written, shown_default(default), info.help or ""])
    yield f"### edgegan {name}\n"
    yield f"    {' '.join([*words, *(['[OPTIONS]'] if optional else [])])}\n"
    yield f"{' '.join((command.__doc__ or '').split())}\n"
    yield from table(["takes", "default", "meaning"], rows)


def argument(name: str, kind: Any) -> str:
    """An argument as it is written."""
    return f"`{name.upper()}{'...' if get_origin(kind) is list else ''}`"


def parameters(
    command: Callable[..., Any],
) -> Iterator[tuple[str, Any, ArgumentInfo | OptionInfo, Any]]:
    """Name, type without None, what the command line knows of it, default (`...`: required)."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind, info = get_args(hints[name])
        without_none = [each for each in get_args(kind) if each is not type(None)]
        if get_origin(kind) in (Union, UnionType) and len(without_none) == 1:
            kind = without_none[0]
        empty = parameter.default is inspect.Parameter.empty
        yield name, kind, info, ... if empty else parameter.default


def option(name: str, kind: Any, info: OptionInfo) -> str:
    """An option's names, with what follows them."""
    given = [info.default, *(info.param_decls or ())]  # typing.Annotated puts the first name there
    names = [each for each in given if isinstance(each, str)] or [f"--{name.replace('_', '-')}"]
    shown = ", ".join(f"`{each}`" for each in names)
    if kind is bool:
        return shown
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    repeatable = ", repeatable" if inner is not kind else ""
    following = [KINDS[each] for each in get_args(inner) or [inner]]
    return f"{shown} {' '.join(following)}{repeatable}"


def shown_default(default: Any) -> str:
    """What holds when an option or argument is left out; empty: nothing, or as the meaning says."""
    if default is ...:
        return "required"
    if isinstance(default, bool):
        return "on" if default else ""
    return "" if default is None else f"`{default}`"


def recipe_keys() -> Iterator[str]:
    """Every key of a recipe, a table for each section."""
    yield "## Recipe keys\n"
    yield "A YAML file of a run, or `--set key=value`. An unknown key is an error that names the nearest valid one.\n"
    sections = {
        name: kind
        for name, info in Recipe.model_fields.items()
        if isinstance(kind := info.annotation, type) and issubclass(kind, BaseModel)
    }
    yield "### The recipe itself\n"
    yield from key_table(Recipe, "", leave_out=set(sections))
    for name, section in sections.items():
        yield f"### {name}\n"
        yield f"{' '.join((section.__doc__ or '').split())}\n"
        yield from key_table(section, f"{name}.", leave_out=set())


def key_table(model: type[BaseModel], prefix: str, leave_out: set[str]) -> list[str]:
    """Key, what may stand there, default, meaning."""
    schema = model.model_json_schema()
    rows = []
    for name, field in schema["properties"].items():
        if name in leave_out:
            continue
        info = model.model_fields[name]
        default = "required"
        if not info.is_required():
            default = yaml_value(info.get_default(call_default_factory=True))
        rows.append([f"`{prefix}{name}`", values(field), default, field["description"]])
    return table(["key", "values", "default", "meaning"], rows)


def values(field: dict[str, Any]) -> str:
    """What a key takes: choices, a type with its range, or null."""
    if "anyOf" in field:
        return " or ".join(values(each) for each in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if field["type"] == "array":
        items = field.get("prefixItems")
        if items:
            return f"[{', '.join(values(each) for each in items)}]"
        return f"list of {values(field['items'])}"
    names = {"string": "text", "number": "number", "integer": "whole number", "object": "mapping"}
    kind = names.get(field["type"], field["type"])
    if field.get("format") == "path":
        kind = "path"
    if field["type"] == "boolean":
        kind = "`true`, `false`"
    bounds = [words.format(f"{field[key]:.15g}") for key, words in BOUNDS.items() if key in field]
    if "pattern" in field:
        bounds.append(f"matching `{field['pattern']}`")
    return " ".join([kind, " and ".join(bounds)]).strip()


def yaml_value(value: Any) -> str:
    """A default as it is written in a recipe."""
    if value == "":
        return "empty"
    return f"`{json.dumps(value)}`".replace('"', "")


def table(headers: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table; a bar inside a cell is escaped, or the rest of its row would be cut off."""
    lines = [headers, ["---"] * len(headers), *rows]
    return [
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines),
        "",
    ]


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
