"""Networks that nobody vouches for: what they try, they do not get, and nothing of them stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import edgegan, make_pictures
from support.hostile_networks import FORWARD, MEAN, ONNX, TORCHSCRIPT, script, write
from support.watched_networks import DEADLINE_S, ROOM_S, judge, processes_of

from edgegan.errors import DeviceError, InputError
from edgegan.metrics.networks import open_network
from edgegan.runtime import limits
from edgegan.runtime.session import Session

# The kind, whether its code is searched before it is loaded, and what becomes of it.
NETWORKS = [
    ("pt writes", True, "exit 2.*opens files by itself"),
    ("pt writes", False, "exit 2.*tried to write a file"),
    ("pt writes at load", False, "exit 2.*tried to write a file"),
    ("pt maps a file", False, "exit 2.*tried to write a file"),
    ("pt two of a name", True, "exit 2.*two members"),
    ("pt two but for case", True, "exit 2.*two members"),
    ("pt never ends", True, "exit 4.*no answer in 8 s.*--deadline"),
    ("pt all memory", True, "exit 4.*more memory.*EDGEGAN_MEMORY"),
    ("pt deep", True, "exit|answered"),
    ("pt a tuple", True, "exit 2.*one tensor"),
    ("pt one row", True, "exit 2.*row for each picture"),
    ("pt prints", True, "answered"),
    ("onnx all memory", True, "exit 4"),
    ("onnx outside", True, "exit 4"),
    ("onnx functions of functions", True, "exit 4"),
    ("onnx a string", True, "exit 2"),
]


@pytest.mark.parametrize(("kind", "read_first", "ending"), NETWORKS)
def test_what_they_try(kind: str, read_first: bool, ending: str, tmp_path: Path) -> None:
    suffix, _, name = kind.partition(" ")
    maker = (TORCHSCRIPT if suffix == "pt" else ONNX)[name]
    victim, own = tmp_path / "victim", tmp_path / "own"
    victim.write_bytes(bytes(64))
    own.mkdir()
    path = write(maker, 7, own / f"network.{suffix}", victim)
    deeds = judge(path, tmp_path, read_first=read_first)
    assert (deeds.written, deeds.processes) == ([], [])
    assert deeds.duration_s < 2 * DEADLINE_S + ROOM_S
    assert re.search(ending, deeds.ending, re.S), deeds.ending


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    """A network of a few layers."""
    path = tmp_path / "honest.pt"
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(layers.eval(), torch.zeros(1, 3, 16, 16)).save(str(path))
    return path


def test_an_honest_network_gives_what_it_gives_in_this_process(honest: Path) -> None:
    x = torch.rand(8, 3, 16, 16) * 2 - 1
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        here = torch.jit.load(str(honest))(x)
    with open_network(honest) as network:
        there = network.call(x)
        assert torch.allclose(here, there, rtol=1e-6, atol=1e-7)
        assert torch.equal(network.call(x[:3]), network.call(x[:3]))


def test_a_session_of_torchscript(honest: Path) -> None:
    with Session(honest, runtime="torchscript") as session:
        assert session.run(np.zeros((4, 3, 16, 16), np.float32)).shape == (4, 64)
        assert len(session.time(2, np.zeros((1, 3, 16, 16), np.float32))["samples_ms"]) == 2
        assert session.version == torch.__version__


def test_where_nothing_confines(
    honest: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that are not ours need --trust; artefacts of ours run, if they are what their manifest says."""
    monkeypatch.setattr(limits, "confines", False)
    with pytest.raises(DeviceError, match="not confined here: give --trust to run it") as caught:
        Session(honest, runtime="torchscript")
    assert caught.value.exit_code == 4
    with Session(finished_run / "export" / "student_fp32.onnx") as session:
        assert session.run(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 3, 32, 32)
    monkeypatch.setattr(limits, "trusted", True)
    with Session(honest, runtime="torchscript") as session:
        assert session.run(np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 64)


def test_a_system_that_cannot_is_found_out(
    honest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a worker that ends with the status of what was not confined."""
    script = tmp_path / "confine.py"
    script.write_text("import sys\nsys.exit(97)\n")
    monkeypatch.setattr(limits, "CONFINE_FILE", script)
    monkeypatch.setattr(limits, "confines", None)
    assert limits.describe() is None
    with pytest.raises(DeviceError, match="give --trust"):
        Session(honest, runtime="torchscript")


def test_its_words_do_not_reach_stdout(tmp_path: Path) -> None:
    """`--json` stays JSON, whatever a network prints."""
    make_pictures(tmp_path / "pictures", 2)
    script(tmp_path / "loud.pt", FORWARD + "        print('{\"figures\": [1]}')\n" + MEAN)
    command = ["evaluate", "pictures", "pictures", "--classifier", "loud.pt", "--bootstrap", "0"]
    done = edgegan(*command, "--json", cwd=tmp_path)
    assert [each["name"] for each in json.loads(done.stdout)["figures"]][-1] == "inception_score"
    assert '"figures": [1]' not in done.stderr


def test_a_command_that_is_killed_leaves_no_network(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures", 2)
    write(TORCHSCRIPT["never ends"], 0, tmp_path / "endless.pt", tmp_path)
    scratch = tmp_path / "scratch"
    for number in (signal.SIGKILL, signal.SIGINT):
        scratch.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "edgegan", "evaluate", "pictures", "pictures"]
        process = subprocess.Popen(
            [*command, "--classifier", "endless.pt", "--bootstrap", "0"],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(scratch)},
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: len(processes_of(f"{scratch}/edgegan-")) > 0)
        process.send_signal(number)
        process.wait(30)
        wait_until(lambda: not processes_of(str(scratch)))
    assert process.returncode == 130


def wait_until(true: Callable[[], bool]) -> None:
    """Looks again and again, for a minute."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_deadlines_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEGAN_DEADLINE", raising=False)
    assert limits.deadline_s(12.0) == 12.0
    monkeypatch.setenv("EDGEGAN_DEADLINE", "3")
    assert (limits.deadline_s(12.0), limits.command_limit_s(60.0)) == (3.0, 60.0)
    for wrong in ("soon", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("EDGEGAN_DEADLINE", wrong)
        with pytest.raises(Exception, match="not a number of seconds"):
            limits.deadline_s(12.0)


def test_an_unreadable_output_is_the_networks_fault(tmp_path: Path) -> None:
    path = write(TORCHSCRIPT["a number"], 0, tmp_path / "network.pt", tmp_path)
    with open_network(path) as network, pytest.raises(InputError, match="row for each picture"):
        network.call(torch.rand(2, 3, 8, 8))
