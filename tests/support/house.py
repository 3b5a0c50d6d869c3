"""The house as files: every module of the package by the name it is imported by, and what each imports."""

from __future__ import annotations

import ast
from functools import cache
from itertools import pairwise
from pathlib import Path

from support.commands import ROOT

FOLDERS = {"edgegan": "edgegan", "export": "edgegan.export", "benchmarks": "edgegan.benchmarks"}
STUDIES = "edgegan.benchmarks.studies"


@cache
def all_modules() -> dict[str, Path]:
    """Every module by its imported name, studies too."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def is_study(name: str) -> bool:
    """Whether a module is one that only `make bench-*` runs."""
    return name == STUDIES or name.startswith(STUDIES + ".")


def modules() -> dict[str, Path]:
    """Every module of the wheel by its imported name."""
    return {name: path for name, path in all_modules().items() if not is_study(name)}


@cache
def read(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def named(node: ast.AST) -> set[str]:
    """The modules that one import statement names, by absolute names; of the project's the very module."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        inside = {f"{node.module}.{alias.name}" for alias in node.names}
        return {name if name in all_modules() else node.module for name in inside}
    return set()


def launched(node: ast.AST) -> set[str]:
    """The modules that strings name, as `python -m` or an import by name does; `-m edgegan` is the command line."""
    found = set()
    for child in ast.iter_child_nodes(node):
        text = child.value if isinstance(child, ast.Constant) else None
        if isinstance(text, str) and "." in text and text in all_modules():
            found.add(text)
    words: list[ast.expr] = []
    if isinstance(node, ast.Call):
        words = node.args
    elif isinstance(node, (ast.List, ast.Tuple)):
        words = node.elts
    texts = [each.value if isinstance(each, ast.Constant) else None for each in words]
    if any(pair == ("-m", "edgegan") for pair in pairwise(texts)):
        found.add("edgegan.cli")
    return found


def imports(path: Path) -> set[str]:
    """edgegan modules that a file imports anywhere, also inside functions, or starts in a process of its own."""
    found = set()
    for node in ast.walk(read(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
        for name in named(node):
            assert name.split(".")[0] not in ("export", "benchmarks"), f"{path}: edgegan.{name}"
        found |= named(node) | launched(node)
    return {name for name in found if name.split(".")[0] == "edgegan"}


def imported_at_once(path: Path) -> set[str]:
    """Modules of any package that importing this file imports: not those inside functions or for type checkers."""
    found: set[str] = set()
    waiting: list[ast.AST] = [read(path)]
    while waiting:
        node = waiting.pop()
        found |= named(node)
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checked = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not inside and not checked:
                waiting.append(child)
    return found
