"""A confined command changes nothing outside its folder, reaches no network, and ends by its limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgegan.runtime import confine

SCRIPT = Path(confine.__file__)
TRIES = {
    "write": "open(outside / 'new', 'w')",
    "append": "open(outside / 'kept', 'a')",
    "truncate": "os.truncate(outside / 'kept', 0)",
    "delete": "os.unlink(outside / 'kept')",
    "rename": "os.rename(outside / 'kept', outside / 'other')",
    "move in": "os.rename(own / 'mine', outside / 'mine')",
    "link": "os.link(outside / 'kept', own / 'hard')",
    "folder": "os.mkdir(outside / 'folder')",
    "symlink": "os.symlink(own / 'mine', outside / 'soft')",
    "through a link": "open(own / 'way', 'w')",
    "rights": "os.chmod(outside / 'kept', 0o777)",
    "times": "os.utime(outside / 'kept', (1, 1))",
    "socket": "socket.socket()",
    "unix socket": "socket.socketpair()",
    "child": "subprocess.run([sys.executable, '-c', f'open({str(outside / \"new\")!r}, \"w\")'], check=True)",
}


def run_confined(code: str, own: Path, *limits: str) -> subprocess.CompletedProcess[str]:
    """Python code in a confined process that may write in `own`."""
    command = [sys.executable, str(SCRIPT), "--write", str(own), *limits, "--"]
    return subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be written and one that may not, with a file and a link out."""
    own, outside = tmp_path / "own", tmp_path / "outside"
    own.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("precious")
    (own / "mine").write_text("x")
    (own / "way").symlink_to(outside / "kept")
    return own, outside


@pytest.mark.skipif(not confine.can_confine(), reason="this system confines nothing")
@pytest.mark.parametrize("how", ["landlock", "namespaces"])
def test_every_way_out_is_closed(how: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    if how == "namespaces" and not confine.has_namespaces():
        pytest.skip("this system makes no user namespaces")
    own, outside = folders
    head = "import os, pathlib, socket, subprocess, sys\n"
    head += f"own, outside = pathlib.Path({str(own)!r}), pathlib.Path({str(outside)!r})\n"
    code = head + "".join(
        f"try:\n    {attempt}\n    print({name!r})\nexcept Exception:\n    pass\n"
        for name, attempt in TRIES.items()
    )
    script = SCRIPT
    if how == "namespaces":
        script = tmp_path / "confine.py"
        script.write_text(SCRIPT.read_text().replace("version = landlock_version()", "version = 0"))
    command = [sys.executable, str(script), "--write", str(own), "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split("\n")) == (0, [""]), done.stderr
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "precious"


def test_its_own_folder_is_its_own(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    done = run_confined(f"open({str(own / 'new')!r}, 'w').write('y')", own)
    assert done.returncode == 0, done.stderr
    assert (own / "new").read_text() == "y"


def test_memory_and_time_have_limits(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    much = run_confined("x = bytearray(2 * 10**9)", own, "--memory", "1000000000")
    assert "MemoryError" in much.stderr
    endless = run_confined("while True: pass", own, "--seconds", "1")
    assert endless.returncode < 0


def test_what_cannot_be_confined_is_not_run(tmp_path: Path) -> None:
    done = run_confined("print('ran')", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (confine.NOT_CONFINED, "")
