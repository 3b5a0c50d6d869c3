"""Hostile files and names: nothing in them runs, unpacks without bound, leaves its folder, or reaches the network."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from support.commands import ROOT, edgegan

from edgegan.artefact import read_model
from edgegan.data.images import read_image
from edgegan.data.labels import read_labels
from edgegan.errors import CheckpointError, ConfigError, InputError, MissingDependency
from edgegan.export import npm
from edgegan.export.bundle import Choice, bundle_run
from edgegan.metrics.networks import check_torchscript
from edgegan.weights import read_state

SOURCES = [
    path
    for folder in ("edgegan", "export", "benchmarks", "android_demo/ci")
    for path in (ROOT / folder).rglob("*.py")
]
FORBIDDEN = {
    ("pickle", "load"),
    ("pickle", "loads"),
    ("pickle", "Unpickler"),
    ("joblib", "load"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("os", "system"),
    ("os", "popen"),
    ("subprocess", "getoutput"),
    ("shutil", "unpack_archive"),
    ("torch", "hub"),
}
DOWNLOADS = dict.fromkeys(("edgegan/metrics/download.py", "edgegan/data/downloading.py"), "urlopen")


def calls(path: Path) -> list[ast.Call]:
    """Every call in a file."""
    return [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]


CAREFUL = "careful_pickle.py"  # has an allow-list of its own: tests/models/test_containers.py


def test_no_call_runs_what_a_file_or_a_name_holds() -> None:
    wrong = []
    for path in SOURCES:
        for call in calls(path):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            function = call.func
            keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
            if isinstance(function, ast.Name) and function.id in ("eval", "exec"):
                wrong.append(f"{where} {function.id}")
            if not isinstance(function, ast.Attribute):
                continue
            owner = ast.unparse(function.value)
            name = function.attr
            if (owner, name) in FORBIDDEN or name in ("extractall", "extract_all"):
                wrong.append(f"{where} {owner}.{name}")
            careful = keywords.get("weights_only") == "True" or path.name == CAREFUL
            if (owner, name) == ("torch", "load") and not careful:
                wrong.append(f"{where} torch.load without weights_only=True")
            if keywords.get("shell", "False") != "False":
                wrong.append(f"{where} shell=True")
            if keywords.get("allow_pickle", "False") != "False":
                wrong.append(f"{where} allow_pickle")
            allowed = DOWNLOADS.get(str(path.relative_to(ROOT)))
            if name in ("urlopen", "urlretrieve", "create_connection") and name != allowed:
                wrong.append(f"{where} {name}")
    assert not wrong, "\n".join(wrong)


class Canary:
    """A pickle of this writes a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_does_not(zipped: bool, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    torch.save(
        {"a": Canary(canary)}, path, _use_new_zipfile_serialization=zipped, pickle_protocol=4
    )
    with pytest.raises(CheckpointError):
        read_state(path)
    assert not canary.exists()


def bomb(path: Path, member: str) -> None:
    """A zip of 64 MB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, b"\0" * (1 << 26))


def test_archives_are_bounded(tmp_path: Path) -> None:
    checkpoint, script = tmp_path / "net.pth", tmp_path / "net.pt"
    bomb(checkpoint, "archive/data/0")
    bomb(script, "archive/code/x.py")
    with pytest.raises(CheckpointError, match="would unpack to 67 MB"):
        read_state(checkpoint)
    with pytest.raises(CheckpointError, match="would unpack to 67 MB"):
        check_torchscript(script)


def test_postscript_named_png_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow would hand it to Ghostscript."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch '{tmp_path}/canary'\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    picture = tmp_path / "picture.png"
    picture.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    )
    for read in (read_image, read_labels):
        with pytest.raises(InputError, match="damaged or not an image"):
            read(picture)
    assert not (tmp_path / "canary").exists()


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A run to spoil."""
    return Path(shutil.copytree(finished_run, tmp_path / "runs/deep/run"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_an_artefact_cannot_name_another_file(run: Path) -> None:
    """model.json's own file name goes into the names of records."""
    model = run / "export/student_int8.tflite"
    edit(model.with_name(model.name + ".model.json"), file="../../escaped")
    with pytest.raises(InputError, match=r"file is '\.\./\.\./escaped', not student_int8\.tflite"):
        read_model(model)
    done = edgegan("bench", model, "--seconds", "0.1", "-o", run / "bench", check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..", "", "a/b", "a\nb"])
def test_a_bundle_cannot_leave_its_folder(name: str, run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "run.json").read_text("utf-8"))
    manifest["recipe"]["name"] = name
    (run / "run.json").write_text(json.dumps(manifest), "utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="cannot name a folder"):
        bundle_run(run, "web", tmp_path / "page", Choice())
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_downloaded_without_a_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGAN_CACHE", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(npm, "run_bounded", refuse)
    with pytest.raises(MissingDependency, match="add --download"):
        npm.fetch(npm.Package("@scope/x", "1.0", "0" * 64), download=False)


def test_commands_open_no_connection(finished_run: Path, tmp_path: Path) -> None:
    """Report, evaluate and doctor under a Python that ends itself at the first connection or look-up."""
    hook = (
        "import os, sys\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        os.write(2, f'network: {event} {arguments}'.encode()); os._exit(99)\n"
        "sys.addaudithook(watch)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    page = str(tmp_path / "report.html")
    for arguments in (
        ["report", finished_run, "-o", page],
        ["evaluate", finished_run, "--count", "1"],
        ["doctor"],
    ):
        done = edgegan(*arguments, env={**os.environ, "PYTHONPATH": path}, fresh=True, check=False)
        assert "network:" not in done.stderr
        assert done.returncode in (0, 4), done.stderr
    probe = "import socket; socket.create_connection(('127.0.0.1', 9))"
    command = [sys.executable, "-c", probe]
    caught = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert caught.returncode == 99


def test_help_needs_nothing_heavy() -> None:
    """What --help imports: no torch, numpy, pydantic or yaml, so that it stays instant."""
    probe = (
        "import sys, edgegan.cli\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'yaml', 'jinja2', 'PIL', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
