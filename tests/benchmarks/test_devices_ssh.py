"""Over a real sshd whose every session lands in an emulated arm64 root: bench, hostile names, a cut connection."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.alone import start_command
from support.commands import edgegan
from support.device_lab import Board, start_board, wait_for
from support.hostile import ADDRESSES, NAMES

from edgegan.benchmarks.devices.ssh import SshDevice
from edgegan.benchmarks.subjects import TOLERANCE
from edgegan.errors import ConfigError, DeviceError


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The board, its ssh configuration first in PATH."""
    with start_board(tmp_path_factory.mktemp("board")) as found:
        old = os.environ["PATH"]
        os.environ["PATH"] = f"{found.tools}:{old}"
        yield found
        os.environ["PATH"] = old


def bench(artefact: Path, output: Path, *more: str) -> list[object]:
    """A bench command on the board, by the alias that its ssh configuration knows."""
    command = ["bench", artefact, "-o", output, "--device", "ssh://board", "--no-peak"]
    return [*command, "--cooldown", "0", *more]


def test_bench_over_ssh(board: Board, finished_run: Path, tmp_path: Path) -> None:
    artefact = finished_run / "export" / "student_int8.tflite"
    command = bench(artefact, tmp_path, "--seconds", "0.1", "--max-secs", "1", "--json")
    done = edgegan(*command, timeout=120)
    record = json.loads(done.stdout)[0]
    assert record["kind"] == "measured"
    assert record["device"] == "ssh-board"
    assert record["device_state"]["machine"] == "aarch64"
    assert record["device_state"]["temperatures_c"] == {"thermal_zone0 soc": 41.5}
    assert "ondemand" in record["warnings"][0]
    assert record["correctness"]["max_abs"] < TOLERANCE["int8"]
    assert (tmp_path / "ssh-board__student_int8.tflite.json").is_file()
    assert not board.workers()
    assert not list((board.root / "tmp").glob("edgegan.*"))


def test_hostile_names_over_ssh(board: Board, tmp_path: Path) -> None:
    """Thirty file names pushed and one of each pulled; no shell sees any of them."""
    device = SshDevice("ssh://board")
    try:
        for number, name in enumerate(NAMES):
            path = tmp_path / name
            path.write_bytes(b"content %d" % number)
            remote = device.push(path)
            assert (board.root / remote.lstrip("/")).read_bytes() == path.read_bytes()
            if number % 6 == 0:
                path.unlink()
                device.pull(remote, path)
                assert path.read_bytes() == b"content %d" % number
    finally:
        device.close()
    assert not list(tmp_path.glob("canary*")) and not Path("canary").exists()
    assert not list(board.root.glob("**/canary*"))


def test_hostile_ssh_addresses() -> None:
    for address in ADDRESSES:
        with pytest.raises((ConfigError, DeviceError)):
            SshDevice(f"ssh://{address}")
    assert not Path("canary").exists()


def test_cut_connection_leaves_nothing(board: Board, finished_run: Path, tmp_path: Path) -> None:
    artefact = finished_run / "export" / "student_int8.tflite"
    log = tmp_path / "log"
    process = start_command(bench(artefact, tmp_path, "--seconds", "60"), log)
    wait_for("the remote worker", board.workers, 60)
    for session in board.sessions():
        os.kill(session, signal.SIGKILL)
    process.join(60)
    errors = log.read_text()
    assert process.exitcode == 4, errors
    assert "edgegan: " in errors and "Traceback" not in errors
    wait_for("the end of the remote worker", lambda: not board.workers(), 20)
    assert not list(tmp_path.glob("*.json*"))
