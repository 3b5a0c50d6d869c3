"""Imports go downward only; the layers are those of docs/design.md."""

from __future__ import annotations

import ast

from support.commands import ROOT
from support.house import (
    all_modules,
    imported_at_once,
    imports,
    is_study,
    launched,
    modules,
    named,
    read,
)

LAYERS: list[set[str]] = [
    {
        "edgegan",
        "edgegan.errors",
        "edgegan.contracts",
        "edgegan.distributed",
        "edgegan.streams",
    },
    {
        "edgegan.console",
        "edgegan.files",
        "edgegan.ownership",
        "edgegan.archives",
        "edgegan.processes",
        "edgegan.recipe",
        "edgegan.recipes",
        "edgegan.deployment",
    },
    {
        "edgegan.run",
        "edgegan.package",
        "edgegan.artefact",
        "edgegan.tensors",
        "edgegan.runtime",
        "edgegan.generator_part",
        "edgegan.careful_pickle",
        "edgegan.checkpoint_kinds",
        "edgegan.weights",
    },
    {"edgegan.data", "edgegan.metrics"},
    {"edgegan.channels"},
    {"edgegan.models"},
    {"edgegan.training"},
    {
        "edgegan.export",
        "edgegan.benchmarks",
        "edgegan.runtime.apply",
        "edgegan.runtime.opening",
    },
    {"edgegan.compress"},
    {"edgegan.compare", "edgegan.evaluation", "edgegan.doctor"},
    {"edgegan.quickstart"},
    {"edgegan.commands"},
    {"edgegan.cli", "edgegan.__main__"},
]
APART = [("edgegan.export", "edgegan.benchmarks")]
HEAVY = {"torch", "torchvision", "fvcore"}


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


def test_imports_go_downward() -> None:
    known = modules()
    wrong = []
    for name, path in known.items():
        level, own = room(name)
        for imported in imports(path):
            if is_study(imported):
                continue  # test_studies_are_leaves tells
            other_level, other = room(imported)
            if other_level > level or (other, own) in APART or (own, other) in APART:
                wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(sorted(wrong))


def test_a_started_module_counts_as_imported() -> None:
    tree = ast.parse("run([sys.executable, '-m', 'edgegan', 'export'])")
    assert set().union(*map(launched, ast.walk(tree))) == {"edgegan.cli"}
    tree = ast.parse("start('-m', 'edgegan.export.convert', job)")
    assert set().union(*map(launched, ast.walk(tree))) == {"edgegan.export.convert"}


def test_benchmarks_never_import_torch() -> None:
    """A board without torch must be able to bench and report.

    No file of benchmarks imports torch, not even inside a function, and nothing that such a file imports anywhere
    reaches torch when it is loaded.
    """
    ways = {
        name: f"{name}"
        for name in modules()
        if name == "edgegan.benchmarks" or name.startswith("edgegan.benchmarks.")
    }
    waiting, wrong = list(ways), []
    while waiting:
        name = waiting.pop()
        path = all_modules()[name]
        found = imported_at_once(path)
        if name.startswith("edgegan.benchmarks"):
            found = set().union(*map(named, ast.walk(read(path))))
        for imported in sorted(found):
            if imported.split(".")[0] in HEAVY:
                wrong.append(f"{ways[name]} -> {imported}")
            for each in with_packages(imported):
                if each in all_modules() and each not in ways:
                    ways[each] = f"{ways[name]} -> {each}"
                    waiting.append(each)
    assert not wrong, "\n".join(sorted(wrong))
    assert {"edgegan.runtime.session", "edgegan.artefact"} <= set(ways)


def with_packages(name: str) -> list[str]:
    """A module and the packages around it, all of which its import loads."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def test_studies_are_leaves() -> None:
    """They may import anything; nothing but they themselves imports them."""
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        for imported in imports(path)
        if is_study(imported)
    ]
    assert not wrong, "\n".join(sorted(wrong))
    for path in all_modules().values():
        imports(path)  # studies too: no relative import, none of the folders beside edgegan/


def test_worker_needs_nothing_of_the_project() -> None:
    assert not imports(ROOT / "edgegan/runtime/worker.py")
