"""The wheel holds every module and data file, and nothing outside the edgegan package."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

from support.commands import ROOT
from support.house import modules


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the tracked files."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_is_complete(tmp_path: Path) -> None:
    names = set(zipfile.ZipFile(build_wheel(tmp_path)).namelist())
    expected = {name.replace(".", "/") for name in modules()}
    packaged = {
        name.removesuffix(".py").removesuffix("/__init__") for name in names if name.endswith(".py")
    }
    assert expected - packaged == set()
    assert {
        name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")
    } == {"edgegan"}
    for data in (
        "edgegan/recipes/cartoongan.yaml",
        "edgegan/benchmarks/templates/report.html",
        "edgegan/benchmarks/devices/count_plugin.c",
        "edgegan/benchmarks/devices/arm64_requirements.txt",
        "edgegan/export/web/index.html",
        "edgegan/export/web/worker.js",
        "edgegan/export/web/page.webmanifest",
        "edgegan/export/web/Apache-2.0.txt",
        "edgegan/py.typed",
    ):
        assert data in names


def test_a_path_is_an_import_path() -> None:
    """The links resolve, so that editors, mypy and every static reader see both folders."""
    for name in ("export", "benchmarks"):
        link = ROOT / "edgegan" / name
        assert link.is_symlink() and link.resolve() == ROOT / name
        module = importlib.import_module(f"edgegan.{name}")
        assert Path(module.__file__ or "").parent.resolve() == ROOT / name
