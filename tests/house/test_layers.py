"""Imports go downward only; the layers are those of docs/design.md."""

from __future__ import annotations

import ast
from pathlib import Path

from support.commands import ROOT
from support.house import modules

LAYERS: list[set[str]] = [
    {"edgegan", "edgegan.errors", "edgegan.distributed"},
    {"edgegan.console", "edgegan.files", "edgegan.recipe", "edgegan.recipes", "edgegan.deployment"},
    {
        "edgegan.run",
        "edgegan.package",
        "edgegan.artefact",
        "edgegan.tensors",
        "edgegan.runtime",
        "edgegan.weights",
    },
    {"edgegan.data", "edgegan.metrics"},
    {"edgegan.channels"},
    {"edgegan.models"},
    {"edgegan.training"},
    {"edgegan.export", "edgegan.benchmarks", "edgegan.runtime.apply"},
    {"edgegan.compress"},
    {"edgegan.compare", "edgegan.evaluation", "edgegan.doctor"},
    {"edgegan.quickstart"},
    {"edgegan.commands"},
    {"edgegan.cli", "edgegan.__main__"},
]
APART = [("edgegan.export", "edgegan.benchmarks")]


def room(name: str) -> tuple[int, str]:
    """The layer of a module and the room it belongs to: the one with the longest name."""
    found = [
        (level, candidate)
        for level, rooms in enumerate(LAYERS)
        for candidate in rooms
        if name == candidate or (candidate != "edgegan" and name.startswith(candidate + "."))
    ]
    assert found, f"{name} is in no layer; add it to tests/house/test_layers.py"
    return max(found, key=lambda each: len(each[1]))


def imports(path: Path) -> set[str]:
    """edgegan modules that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("edgegan")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module and node.module.split(".")[0] == "edgegan":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in modules() else node.module for name in names}
            assert node.module not in ("export", "benchmarks"), (
                f"{path}: import edgegan.{node.module}"
            )
    return found


def test_imports_go_downward() -> None:
    known = modules()
    wrong = []
    for name, path in known.items():
        level, own = room(name)
        for imported in imports(path):
            other_level, other = room(imported)
            if other_level > level or (other, own) in APART or (own, other) in APART:
                wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(sorted(wrong))


def test_benchmarks_never_import_torch() -> None:
    """A board without torch must be able to bench and report."""
    for path in (ROOT / "benchmarks").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        project_script = "def main" in path.read_text(encoding="utf-8")
        assert project_script or not any(name.split(".")[0] == "torch" for name in names), path


def test_worker_needs_nothing_of_the_project() -> None:
    assert not imports(ROOT / "edgegan/runtime/worker.py")
