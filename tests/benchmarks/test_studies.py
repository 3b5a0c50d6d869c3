"""The studies: what the Makefile runs exists and is told by `make help`; two of them in small."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import ROOT

from edgegan.benchmarks.studies import call_map, fingerprints

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STUDIES = ROOT / "benchmarks" / "studies"
# Started by another study, in a process or an environment of its own.
STARTED = {"exporter_peers", "random_students", "tensorflow_mirror"}


def test_help_names_every_target() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.M))
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^make ([a-z0-9-]+)", told.stdout, re.M)) == targets - {"help"}
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert set(phony.split()) == targets


def test_every_study_has_its_target() -> None:
    called = set(re.findall(r"-m edgegan\.benchmarks\.studies\.(\w+)", MAKEFILE))
    with_main = {
        path.stem for path in STUDIES.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
    }
    assert called | STARTED == with_main
    assert not called & STARTED


def test_map_counts_functions_and_files_once() -> None:
    found = call_map.Map()
    frames = {"edgegan.a": "def f(): pass\ndef g(): f()\n", "other": "def h(): pass\n"}
    spaces = {}
    for module, text in frames.items():
        spaces[module] = {"__name__": module}
        exec(compile(text, f"/{module}.py", "exec"), spaces[module])
    sys.setprofile(found.note)
    spaces["edgegan.a"]["f"]()
    spaces["edgegan.a"]["f"]()
    spaces["other"]["h"]()
    found.stepped = True
    spaces["edgegan.a"]["g"]()
    sys.setprofile(None)
    values = found.as_json()
    assert (values["before"]["functions"], values["before"]["files"]) == (1, 1)
    assert values["before"]["names"] == ["edgegan.a:f"]
    assert values["all"]["names"] == ["edgegan.a:f", "edgegan.a:g"]
    assert "1 / 1" in call_map.show({"compress x": values})


def test_fingerprints_tell_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights are hashed, what a stage keeps for itself is not; a differing or missing file ends with 1."""
    (tmp_path / "run" / "stages").mkdir(parents=True)
    for name in ("a.onnx", "stages/b.onnx", "c.txt"):
        (tmp_path / "run" / name).write_text(name)
    assert [path.name for path in fingerprints.made_in(tmp_path / "run")] == ["a.onnx"]
    old = {"x": {"files": {"a": "1", "b": "2", "c": "3"}, "exit": 0}}
    new = {"x": {"files": {"a": "1", "b": "9", "d": "4"}, "exit": 0}}
    assert not fingerprints.compare(old, new)
    told = capsys.readouterr().out.split()
    assert told == ["equal", "a", "differs", "b", "missing", "c", "new", "d"]
    for name, values in (("before", old), ("after", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    line = ["fingerprints", "-o", str(tmp_path / "after.json")]
    monkeypatch.setattr("sys.argv", [*line, "--compare", str(tmp_path / "before.json")])
    with pytest.raises(SystemExit) as ended:
        fingerprints.main()
    assert ended.value.code == 1
