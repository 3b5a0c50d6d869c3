"""docs/extending.md does what it says: its code blocks, put into a copy of the sources, run through their commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.commands import ROOT, SIZE, make_pictures

SOURCES = ("edgegan", "export", "benchmarks")
TEXT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
SHORT = {
    "data.size": f"[{SIZE},{SIZE}]",
    "data.crops": "8",
    "distill.steps": "6",
    "student.round_to": "4",
}


@dataclass
class Tried:
    """A section's example in a copy of the sources: where it is, and what it touched."""

    sources: Path
    work: Path
    files: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        """A new file: of the product when its name has a folder, else one that the reader has at hand."""
        path = (self.sources if "/" in name else self.work) / name
        assert not path.exists(), f"{name} exists: a line of it is a diff block"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if "/" in name:
            self.files.append(name)

    def add_lines(self, name: str, text: str) -> None:
        """Lines that go into a file behind the block's line of context, or at its end when there is none."""
        path, context = self.sources / name, ""
        had = path.read_text(encoding="utf-8").splitlines()
        place = len(had)
        for line in text.splitlines():
            assert line[:1] in (" ", "+"), f"{name}: a diff block has lines with + and context"
            if line.startswith(" "):
                context = line[1:]
                assert had.count(context) == 1, f"{name} has no one line {context!r}"
                place = had.index(context) + 1
            else:
                had.insert(place, line[1:])
                place += 1
                self.lines[name] = self.lines.get(name, 0) + 1
        path.write_text("\n".join(had) + "\n", encoding="utf-8")

    def run(self, command: str) -> None:
        """A command as the reader types it; compressions are made short."""
        words = command.split()
        program = [sys.executable, "-m", "edgegan"] if words[0] == "edgegan" else [sys.executable]
        if words[1] == "compress":
            words += [
                word
                for key, value in SHORT.items()
                if f"{key}=" not in command
                for word in ("--set", f"{key}={value}")
            ]
        environment = {**os.environ, "PYTHONPATH": str(self.sources)}
        done = subprocess.run(
            [*program, *words[1:]],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        self.said[command] = done.stdout


def try_section(title: str, folder: Path) -> Tried:
    """Puts the section's blocks into a copy of the sources and runs its commands, in order."""
    tried = Tried(folder / "sources", folder / "work")
    for name in SOURCES:
        shutil.copytree(
            ROOT / name,
            tried.sources / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    tried.work.mkdir(exist_ok=True)
    blocks = re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", SECTIONS[title], re.M | re.S)
    for kind, name, text in blocks:
        if kind == "diff":
            tried.add_lines(name, text)
        elif name:
            tried.write(name, text)
    for kind, _, text in blocks:
        for command in text.splitlines() if kind == "sh" else ():
            tried.run(command)
    return tried


@pytest.fixture
def folder(tmp_path: Path, resnet_checkpoint: Path, finished_run: Path) -> Path:
    """What the reader has at hand: a teacher, photographs, a finished run."""
    work = tmp_path / "work"
    make_pictures(work / "photos", 6)
    shutil.copy(resnet_checkpoint, work / "teacher.pth")
    shutil.copytree(finished_run, work / "runs/mine")
    return tmp_path


def check_family(tried: Tried) -> None:
    """The toy is listed with its cost, came in as it was, and its student was exported."""
    assert "toy" in tried.said["edgegan zoo"]
    assert json.loads((tried.work / "toy/config.json").read_text())["family"] == "toy"
    assert json.loads((tried.work / "runs/toy/student/config.json").read_text())["family"] == "toy"
    assert list((tried.work / "runs/toy/export").glob("student_fp32.*"))


def check_target(tried: Tried) -> None:
    """The artefact is a folder, proved, and known to its model.json."""
    artefact = tried.work / "out/student_fp32.toy"
    assert {path.name for path in artefact.iterdir()} == {"model.onnx", "note.txt"}
    model = json.loads((tried.work / "out/student_fp32.toy.model.json").read_text())
    assert model["target"] == "toy"
    assert model["parity"]["max_abs"] < 1e-4
    assert len(list((tried.work / "pictures").iterdir())) == 6


def check_loss(tried: Tried) -> None:
    """The term stands in the metrics of the run, and its state in no student."""
    lines = (tried.work / "runs/toy/metrics.jsonl").read_text().splitlines()
    assert any("brightness" in json.loads(line) for line in lines)


def check_cost(tried: Tried) -> None:
    """The recipe of the run has the budget, and the student's layers write no more than that."""
    recipe = json.loads((tried.work / "runs/toy/run.json").read_text())["recipe"]
    assert recipe["budget"]["activations"] == 80_000


def check_device(tried: Tried) -> None:
    """Records of the device stand in the run, and what it measured in the report."""
    (record,) = (tried.work / "runs/mine/bench").glob("toy__student_int8.tflite*.json")
    measured = json.loads(record.read_text())
    assert measured["latency"]["median_ms"] == pytest.approx(measured["size_bytes"] / 1e6, 1e-3)
    assert "toy" in (tried.work / "runs/mine/report.md").read_text(encoding="utf-8")


def check_report(tried: Tried) -> None:
    """The column stands in both forms of the report."""
    for name in ("report.html", "report.md"):
        assert "bytes a weight" in (tried.work / "runs/mine" / name).read_text(encoding="utf-8")


CHECKS: dict[str, Callable[[Tried], None]] = {
    "A family": check_family,
    "A target": check_target,
    "A loss": check_loss,
    "A cost": check_cost,
    "A device": check_device,
    "A column of the report": check_report,
}


def test_every_section_is_tried() -> None:
    assert set(SECTIONS) == set(CHECKS)


@pytest.mark.parametrize("title", CHECKS)
def test_example_runs(title: str, folder: Path) -> None:
    """One new file or one new folder, at most one line elsewhere, and the commands run."""
    tried = try_section(title, folder)
    assert len({Path(name).parent for name in tried.files}) <= 1, tried.files
    assert sum(tried.lines.values()) <= 1, tried.lines
    CHECKS[title](tried)
