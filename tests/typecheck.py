"""mypy over the package as it is installed: export/ and benchmarks/ mapped to edgegan.export and edgegan.benchmarks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAPPED = {"edgegan": "edgegan", "export": "edgegan/export", "benchmarks": "edgegan/benchmarks"}


def main() -> int:
    """Copies the sources into the layout of a wheel and checks them there; returns mypy's exit code."""
    tree = ROOT / "build" / "typecheck"
    shutil.rmtree(tree, ignore_errors=True)
    for source, target in MAPPED.items():
        shutil.copytree(ROOT / source, tree / target, ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "-p",
        "edgegan",
    ]
    command += ["--cache-dir", str(ROOT / ".mypy_cache")]
    return subprocess.run(command, cwd=tree, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
