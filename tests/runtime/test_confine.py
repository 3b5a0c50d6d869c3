"""A confined command changes nothing outside its folder, reaches no network, and ends by its limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
    "truncate by reading": "os.open(outside / 'kept', os.O_RDONLY | os.O_TRUNC)",
    "attribute": "os.setxattr(outside / 'kept', 'user.x', b'1')",
    "signal": "os.kill(parent, 0)",
    "remount": "mount(None, b'/', None, 4096 | 32, None)",
    "root": "os.setuid(12345)",
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


@pytest.mark.parametrize("how", ["landlock", "namespaces"])
def test_every_way_out_is_closed(how: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    own, outside = folders
    head = "import ctypes, os, pathlib, socket, subprocess, sys\n"
    head += f"parent = {os.getpid()}\n"
    head += "def mount(*given):\n    if ctypes.CDLL(None).mount(*given): raise OSError(given)\n"
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
    if done.returncode == confine.NOT_CONFINED:
        pytest.skip(f"{how}: {done.stderr}")
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


def test_an_attempt_to_write_ends_it(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    for attempt in ("open('x', 'w')", "os.rename('mine', 'x')", "socket.socket()", "os.mkdir('x')"):
        code = f"import os, socket, sys; os.chdir({str(own)!r}); open('/dev/null').close()\n"
        code += (
            f"sys.path.insert(0, {str(SCRIPT.parent)!r}); import confine; confine.refuse_writes()\n"
        )
        code += f"open('mine').close(); sys.stdout.write('ready'); sys.stdout.flush()\n{attempt}\n"
        done = run_confined(code, own)
        assert (done.returncode, done.stdout) == (-signal.SIGSYS, "ready"), done.stderr
    assert sorted(path.name for path in own.iterdir()) == ["mine", "way"]


def test_it_ends_with_its_parent(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    inner = [sys.executable, str(SCRIPT), "--write", str(own), "--parent"]
    code = f"import os, subprocess; subprocess.Popen([*{inner!r}, str(os.getpid()), '--', 'sleep', '60']);"
    code += f"import time\nwhile not os.path.exists({str(own / 'go')!r}): time.sleep(0.05)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while not (child := children.read_text().split()):
        time.sleep(0.02)
    time.sleep(0.5)  # until it has become sleep
    assert Path(f"/proc/{child[0]}/comm").read_text() == "sleep\n"
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{child[0]}").exists():
            return
        time.sleep(0.05)
    state = Path(f"/proc/{child[0]}/stat").read_text().split()[2]
    assert state == "Z"


def test_the_way_is_described() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--describe"], capture_output=True, text=True
    )
    assert done.returncode in (0, confine.NOT_CONFINED)
    assert "seccomp" in done.stdout or "not confined" in done.stderr
