"""Short functions, few parameters, short files, one meaning a name, folders that import one way."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from support.commands import ROOT
from support.house import all_modules, imports, is_study, modules, read

from edgegan.cli import COMMANDS, app

FUNCTION_LINES = 60
PARAMETERS = 7
FILE_LINES = 400
MANY_MEANINGS = {"__init__", "network", "keymap"}  # one of each family, on purpose

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, str, Function]]:
    """Every function of every module, studies too: the module's name, where it stands, the function."""
    for name, path in all_modules().items():
        for node in ast.walk(read(path)):
            if isinstance(node, Function):
                yield name, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def all_parameters(function: Function) -> list[ast.arg]:
    """Every parameter, *args and **kwargs among them."""
    given = function.args
    rest = [each for each in (given.vararg, given.kwarg) if each is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def is_command(module: str, function: Function) -> bool:
    """Whether its signature is a table of command-line options."""
    groups = [group.typer_instance for group in app.registered_groups]
    inner = [each.callback for group in groups if group for each in group.registered_commands]
    commands = [*COMMANDS.values(), *(each for each in inner if each is not None)]
    known = {(each.__module__, each.__name__) for each in commands}
    return (module, function.name) in known


def count_lines(module: str, function: Function) -> int:
    """Lines of a function; of a command's those behind its signature."""
    first = function.body[0].lineno if is_command(module, function) else function.lineno
    assert function.end_lineno is not None
    return function.end_lineno - first + 1


def count_parameters(function: Function) -> int:
    """Parameters but self or cls."""
    given = all_parameters(function)
    return len(given) - bool(function.args.args and function.args.args[0].arg in ("self", "cls"))


def test_functions_are_short() -> None:
    wrong = [
        f"{where}: {count_lines(module, function)} lines"
        for module, where, function in functions()
        if count_lines(module, function) > FUNCTION_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_take_few_parameters() -> None:
    wrong = [
        f"{where}: {count_parameters(function)} parameters"
        for module, where, function in functions()
        if count_parameters(function) > PARAMETERS and not is_command(module, function)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {len(lines)} lines"
        for path in all_modules().values()
        if len(lines := path.read_text(encoding="utf-8").splitlines()) > FILE_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_a_module_name_means_one_thing() -> None:
    found = defaultdict(list)
    for path in all_modules().values():
        found[path.stem].append(str(path.relative_to(ROOT)))
    wrong = [
        f"{stem}: {', '.join(paths)}"
        for stem, paths in sorted(found.items())
        if len(paths) > 1 and stem not in MANY_MEANINGS
    ]
    assert not wrong, "\n".join(wrong)


def folder_of(name: str) -> str | None:
    """The folder of edgegan/ that a module or package is in; None for a loose module."""
    parts = name.split(".")
    is_folder = (ROOT / "edgegan" / parts[1]).is_dir() if len(parts) > 1 else False
    return parts[1] if is_folder else None


def test_folders_import_one_way() -> None:
    """Of two folders of edgegan/ one may know the other; studies may import anything."""
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, path in modules().items():
        for imported in sorted(imports(path)):
            own, other = folder_of(name), folder_of(imported)
            if own and other and own != other and not is_study(imported):
                arrows[own, other].append(f"{name} imports {imported}")
    wrong = [
        f"{own} <-> {other}: " + "; ".join(arrows[own, other] + arrows[other, own])
        for own, other in sorted(arrows)
        if own < other and (other, own) in arrows
    ]
    assert not wrong, "\n".join(wrong)
