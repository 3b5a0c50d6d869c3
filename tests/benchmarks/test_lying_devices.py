"""A board that lies: rubbish, lines without end, impossible times, arrays that are none. Each is one clear error."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgegan.benchmarks.benchmark_tool import parse_output
from edgegan.benchmarks.devices.interface import call
from edgegan.benchmarks.devices.ssh import SshDevice
from edgegan.benchmarks.devices.state import load_average, parse_state
from edgegan.benchmarks.measure import Entry, warm_up
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.subjects import check_output
from edgegan.errors import DeviceError, EdgeGANError, ParityError
from edgegan.runtime.session import Session

LOADED = {"load_ms": 1.0, "inputs": [], "outputs": [], "version": "2.3.0", "outside_xnnpack": None}
SSH = """#!{python} -IS
import json, os, sys, time
line, lie = sys.argv[-1], os.environ["LIE"]
if "-O" in sys.argv or "rm -rf" in line:
    sys.exit(0)
if "mktemp" in line:
    while lie == "flood at first":
        os.write(1, b"x" * 65536)
    print("/" if lie == "root" else "/tmp/edgegan.AAAAAAAA")
elif "find_spec" in line:
    print("PYTHON numpy ai_edge_litert onnxruntime")
elif "scaling_governor" in line:
    print("machine=aarch64")
else:
    for asked in sys.stdin:
        if json.loads(asked)["op"] == "load" and not lie.startswith("at load"):
            print(os.environ["LOADED"], flush=True)
            continue
        while "flood" in lie:
            os.write(1, b"x" * 65536 + (b"\\n" if "lines" in lie else b""))
        while "silent" in lie:
            time.sleep(1)
        sys.stdout.write(os.environ["SAID"])
        sys.stdout.flush()
        if "dies" in lie:
            os.write(2, b"\\x1b]0;owned\\x07 the end")
            sys.exit(3)
"""
SCP = """#!{python} -IS
import os, sys
source, target = sys.argv[-2:]
if not source.startswith("/") and os.environ["PULLED"]:
    with open(target, "wb") as file:
        file.write(bytes.fromhex(os.environ["PULLED"]))
"""


def samples(*values: Any) -> str:
    return json.dumps({"samples_ms": list(values), "peak_rss_bytes": 1}) + "\n"


LIES = {
    "rubbish": "no json\n",
    "at load rubbish": "no json\n",
    "at load empty": "{}\n",
    "at load a version without end": json.dumps(LOADED | {"version": "9" * 5000}) + "\n",
    "at load an endless time": json.dumps(LOADED | {"load_ms": 1e308}) + "\n",
    "at load digits": '{"load_ms": ' + "9" * 5000 + "}\n",
    "deep": "[" * 100_000 + "\n",
    "a list": "[1]\n",
    "null": "null\n",
    "half a character": '{"error": "\\ud800"}\n',
    "an error that is none": '{"error": 5}\n',
    "an error with escapes": json.dumps({"error": "\x1b]0;owned\x07"}) + "\n",
    "text": samples("x", "x"),
    "too few": samples(),
    "too many": samples(1.0, 1.0, 1.0),
    "no time": samples(0.0, 1.0),
    "less than no time": samples(-1.0, 1.0),
    "not a number": samples(float("nan"), 1.0),
    "endless time": samples(1e308, 1.0),
    "more memory than there is": '{"samples_ms": [1.0, 1.0], "peak_rss_bytes": 1e300}\n',
    "flood": "",
    "flood of lines": "",
    "silent": "",
    "dies": "",
}


@pytest.fixture
def lying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stand-ins for ssh and scp, first in PATH."""
    for name, text in (("ssh", SSH), ("scp", SCP)):
        (tmp_path / name).write_text(text.replace("{python}", os.path.realpath(sys.executable)))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {"LIE": "", "SAID": "", "PULLED": "", "LOADED": json.dumps(LOADED)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EDGEGAN_DEADLINE", "5")
    (tmp_path / "x.tflite").write_bytes(b"x")
    return monkeypatch


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_names_the_board(lie: str, lying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lying.setenv("LIE", lie)
    lying.setenv("SAID", LIES[lie])
    device = SshDevice("ssh://pi@board")
    began = time.monotonic()
    try:
        with (
            pytest.raises(DeviceError, match=r"on pi@board") as caught,
            Session(tmp_path / "x.tflite", place=device) as session,
        ):
            session.time(2, np.zeros((1, 4), np.float32))
    finally:
        device.close()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 3000
    assert time.monotonic() - began < 60


def npy(array: Any, **changes: Any) -> bytes:
    """A .npy file, its header changed."""
    buffer = io.BytesIO()
    about = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changes
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue() + array.tobytes()


GOOD = np.zeros((2, 3), np.float32)
ARRAYS = {
    "nothing": b"",
    "text": b"hello",
    "another count": npy(np.zeros((3, 3), np.float32)),
    "larger than it is": npy(GOOD, shape=(2, 10**12)),
    "smaller than it is": npy(GOOD, shape=(2, 1)),
    "objects": npy(GOOD, descr="|O"),
    "words": npy(np.array([["a"], ["b"]])),
    "no header": b"\x93NUMPY\x01\x00\x08\x00" + b"(" * 8,
    "a long header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"(" * 99,
    "cut off": npy(GOOD)[:-1],
}


@pytest.mark.parametrize("lie", ARRAYS)
def test_arrays_that_are_none(lie: str, lying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lying.setenv("SAID", '{"count": 2}\n')
    device = SshDevice("ssh://pi@board")
    try:
        with Session(tmp_path / "x.tflite", place=device) as session:
            lying.setenv("PULLED", npy(GOOD).hex())
            assert np.array_equal(session.run(GOOD), GOOD)
            lying.setenv("PULLED", ARRAYS[lie].hex())
            with pytest.raises(DeviceError, match="on pi@board gave no output that can be used"):
                session.run(GOOD)
    finally:
        device.close()


@pytest.mark.parametrize("lie", ["root", "flood at first"])
def test_a_board_that_names_no_folder_of_ours(lie: str, lying: pytest.MonkeyPatch) -> None:
    """What it names would be removed there."""
    lying.setenv("LIE", lie)
    with pytest.raises(DeviceError, match=r"cannot make a folder|printed more than 17 MB"):
        SshDevice("ssh://pi@board")


def test_output_of_another_shape_is_not_compared() -> None:
    wrong, right = np.zeros((1, 5, 5, 3), np.float32), np.zeros((1, 4, 4, 3), np.float32)
    with pytest.raises(ParityError, match=r"on board: the output has shape \(1, 5, 5, 3\)"):
        check_output("x.tflite", "board", wrong, right, "ours", "fp32")


def test_state_that_is_none() -> None:
    digits = "9" * 5000
    lines = [
        "class/thermal/thermal_zone0/temp",
        "devices/system/cpu/cpu0/cpu_capacity",
        "x/energy_uj",
    ]
    text = "machine=\x1b[2J\nload=a b c\nthrottled=0x" + "f" * 9000 + "\n"
    state = parse_state(text + "".join(f"sys:{line}={digits}\n" for line in lines))
    assert (state.machine, load_average(state.load)) == ("\\x1b[2J", [])
    assert (state.temperatures_c, state.energy_uj, state.cores[0].capacity) == ({}, {}, None)
    assert load_average("0.5 1 2.25 1/200 7") == [0.5, 1.0, 2.25]
    assert len(parse_state("sys:a=" + "b" * 10**6).cores) == 0


def test_a_tool_that_tells_impossible_times() -> None:
    text = "count=3 x\nInference timings in us: Init: 1, First inference: 1, Warmup (avg): 1, Inference (avg): {}"
    assert parse_output(text.format("2000.5")).average_ms == 2.0005
    for lie in ("0", "1e99", "1e308", "-5", "nan", "...", "--", "9" * 400):
        with pytest.raises(DeviceError, match=r"impossible time|no result"):
            parse_output(text.format(lie))


def test_the_warm_up_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a board whose clock hardly moves."""
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    class Slow:
        asked = 0

        def time(self, runs: int, _: Any = None) -> dict[str, Any]:
            self.asked += 1
            return {"samples_ms": [1e-5] * runs, "peak_rss_bytes": None}

    session = Slow()
    entry = Entry(None, Path("x"), session, None)  # type: ignore[arg-type]
    warm_up(entry, np.zeros(1), Method())
    assert session.asked < 20 and entry.runs_a_round <= 500_000


def test_a_command_is_bounded() -> None:
    flood = [sys.executable, "-c", "while True: print('x' * 65536)"]
    with pytest.raises(DeviceError, match="printed more than 17 MB"):
        call(flood)
    group = "import subprocess, sys; p = subprocess.Popen(['sleep', '77']); print(p.pid, flush=True); p.wait()"
    with pytest.raises(DeviceError, match=r"did not answer in 0\.5 s.*--deadline"):
        call([sys.executable, "-c", group], 0.5)
    left = [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and is_sleep_77(entry / "cmdline")
    ]
    assert not left
    assert call(["echo", "yes"]).output == "yes\n"
    assert issubclass(DeviceError, EdgeGANError)


def is_sleep_77(path: Path) -> bool:
    try:
        return path.read_bytes() == b"sleep\x0077\x00"
    except OSError:
        return False
