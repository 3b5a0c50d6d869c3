"""A converter never outlives what asked for it, and has a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.watched_networks import processes_of

from edgegan.errors import DeviceError
from edgegan.export import child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_export_that_is_ended_leaves_no_converter(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Ended in the converter's first moment, before it has imported anything."""
    code = (
        "from pathlib import Path; from edgegan.export.child import run_converter; import sys\n"
        "run_converter({'target': 'onnx', 'package': 'p'}, Path(sys.argv[1]), Path(sys.argv[1], 'log'))"
    )
    mark = tmp_path / "marked"
    environment = {**os.environ, "EDGEGAN_CACHE": str(mark)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    parent = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(processes_of(str(mark))) < 2:
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.01)
    parent.send_signal(number)
    parent.wait(30)
    time.sleep(0.2)
    assert not processes_of(str(mark))


def test_a_converter_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGAN_DEADLINE", "0.3")
    words = r"converting p to onnx took more than 0\.3 s; give it longer with --deadline"
    with pytest.raises(DeviceError, match=words):
        child.run_converter({"target": "onnx", "package": "p"}, tmp_path, tmp_path / "log")
