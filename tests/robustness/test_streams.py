"""Closed and broken streams, terminals of few letters, control characters, interruptions: never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.commands import edgegan

from edgegan import cli, streams
from edgegan.console import emit, say, table
from edgegan.streams import printable

PROGRAM = f"{sys.executable} -m edgegan"
CLEAR = "\x1b]0;owned\x07\x1b[2J"


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash; `edgegan` in it is this one."""
    return subprocess.run(
        ["bash", "-c", line.replace("edgegan", PROGRAM)],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 日本, 🙂", "plain, ä, 日本, 🙂"),
        (CLEAR, r"\x1b]0;owned\x07\x1b[2J"),
        ("a\nedgegan: all is well\r\t", r"a\nedgegan: all is well\r\t"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("\u202eexe.gnp\u2066\u2028", r"\u202eexe.gnp\u2066\u2028"),
        (os.fsdecode(b"p\xff\xe4.png"), r"p\xff\xe4.png"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_would_act_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown  # what was escaped once stays as it is


def test_every_way_to_the_terminal_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one {CLEAR}\nedgegan: two")
    emit(table(["name"], [[f"{CLEAR}\nforged"]]) + f"\nnext {CLEAR}")
    told = capsys.readouterr()
    assert told.err == "one " + printable(CLEAR) + r"\nedgegan: two" + "\n"
    assert told.out.count("\n") == 4
    assert "\x1b" not in told.out and r"\nforged" in told.out


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("edgegan recipes >&-", 0),
        ("edgegan recipes cartoongan <&- >&- 2>&-", 0),
        ("edgegan recipes --json | true", 0),
        ("edgegan --help | true", 0),
        ("edgegan inspect nowhere 2>&-", 2),
        ("edgegan inspect nowhere 2>&1 | true", 2),
        ("edgegan --wrong 2>&-", 2),
        ("edgegan recipes >/dev/full", 2),
        ("edgegan inspect nowhere 2>/dev/full", 2),
    ],
)
def test_a_stream_that_is_gone_changes_no_exit_code(tmp_path: Path, line: str, code: int) -> None:
    done = shell(f"{line}; echo rc ${{PIPESTATUS[0]}} >told", tmp_path)
    assert (tmp_path / "told").read_text() == f"rc {code}\n"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_closed_descriptors_are_not_given_to_files(
    finished_run: Path, pictures: Path, tmp_path: Path
) -> None:
    """With 1 and 2 closed, the first files opened would get their numbers, and children would print into them."""
    artefact = finished_run / "export" / "student_int8.tflite"
    done = shell(f"edgegan run {artefact} {pictures} -o out >&- 2>&-; echo $? >told", tmp_path)
    assert (tmp_path / "told").read_text() == "0\n", done.stderr
    edgegan("run", artefact, pictures, "-o", tmp_path / "as_usual")
    for path in (tmp_path / "as_usual").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}]
)
def test_a_terminal_of_few_letters(tmp_path: Path, environment: dict[str, str]) -> None:
    for name in ("日本", "ä€", os.fsdecode(b"\xff\xe4")):
        done = shell(f"edgegan inspect '{name}'", tmp_path, **environment)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert "is not a generator package" in done.stderr


def test_json_is_all_of_stdout(tmp_path: Path) -> None:
    """Whoever prints, in Python, in C or in a child process: stdout holds the result alone."""
    (tmp_path / "noisy.py").write_text(
        "import os, subprocess, sys\n"
        "from edgegan import cli\n"
        "def command(as_json=False):\n"
        "    print('python'); os.write(1, b'from c\\n'); subprocess.run(['echo', 'child'])\n"
        "    from edgegan.commands.options import show\n"
        "    show({'result': 1}, True, '')\n"
        "cli.app.command('noisy')(cli.with_results_apart(command))\n"
        "sys.argv = ['edgegan', 'noisy']\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "noisy.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"result": 1}
    assert {"python", "from c", "child"} <= set(done.stderr.split("\n"))


INTERRUPTED = """
import runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[0]:
            signal.raise_signal(signal.SIGINT)
sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Finder())
runpy.run_module("edgegan", run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize(
    "module", ["edgegan.cli", "typer", "edgegan.console", "pydantic", "numpy.linalg", "torch._C"]
)
def test_ctrl_c_while_this_is_imported(finished_run: Path, module: str) -> None:
    """From the first import of ours on; before that Python itself starts, which no program can help."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, "inspect", finished_run, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("edgegan: interrupted") and done.stderr.count("\n") == 1


def test_an_interruption_that_a_library_renames(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as an import that makes an ImportError of KeyboardInterrupt."""

    def renamed(standalone_mode: bool) -> None:
        assert not standalone_mode
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("numpy failed to import") from error

    monkeypatch.setattr(cli, "app", renamed)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_bug_is_printed_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(standalone_mode: bool) -> None:
        raise RuntimeError(f"{CLEAR}{standalone_mode}")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    told = capsys.readouterr().err
    assert stop.value.code == 1
    assert "this is a bug" in told and "\x1b" not in told


def test_a_file_that_ends_early_is_no_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library of the command line makes of EOFError what it makes of Ctrl-C."""
    broken = typer.Typer()

    @broken.command()
    def command() -> None:
        raise EOFError("no data left in file")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["edgegan"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "no data left in file" in capsys.readouterr().err


def test_streams_that_others_capture_stay_theirs() -> None:
    before = sys.stdout, sys.stderr
    streams.prepare()
    assert before == (sys.stdout, sys.stderr)
