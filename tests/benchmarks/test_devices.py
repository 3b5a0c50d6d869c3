"""Addresses, the device book, device state, the adb states that need no phone, benchmark_model's text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.fake_sys import fake_sys
from typer.testing import CliRunner

from edgegan.artefact import ModelManifest
from edgegan.benchmarks.benchmark_tool import parse_output
from edgegan.benchmarks.devices import adb, book, debian, ssh
from edgegan.benchmarks.devices.host import HostDevice
from edgegan.benchmarks.devices.interface import Asked, DeviceKind
from edgegan.benchmarks.devices.root import check_core, check_tools
from edgegan.benchmarks.devices.state import DeviceState, parse_state
from edgegan.benchmarks.measure import circumstances, timed
from edgegan.benchmarks.method import Method
from edgegan.benchmarks.predictor.build import Bench, Sample
from edgegan.benchmarks.record import BenchRecord, read_records, subject
from edgegan.cli import app
from edgegan.errors import ConfigError, DeviceError, EdgeGANError, MissingDependency
from edgegan.run import now

TOOL_TEXT = """INFO: STARTING!
INFO: Graph: [/data/local/tmp/m.tflite]
INFO: Initialized session in 4.2ms.
INFO: Running benchmark for at least 3 iterations and at least 0.5 seconds.
INFO: count=60 first=9000 curr=8300 min=8200 max=9000 avg=8305.8 std=101

INFO: Running benchmark for at least 30 iterations and at least 1 seconds.
INFO: count=125 first=8100 curr=8233 min=7922 max=8811 avg=8081.6 std=100 p5=7950 median=8050 p95=8300

INFO: Inference timings in us: Init: 4200, First inference: 15231, Warmup (avg): 8305.8, Inference (avg): 8081.6
INFO: Memory footprint delta from the start of the tool (MB): init=1.3 overall=3.1
"""
OLD_TEXT = """STARTING!
count=1 curr=3512391

count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Memory footprint delta from the start of the tool (MB): init=4.21094 overall=46.0859
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t[node type]\t [start]\t [first]\t [avg ms]\t [%]\t [cdf%]\t [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.000\t    1.356\t    1.350\t 90.000%\t 90.000%\t     0.000\t        1\t[conv]:0
\t                    TANH\t            1.356\t    0.150\t    0.150\t 10.000%\t100.000%\t     0.000\t        1\t[tanh]:1

============================== Top by Computation Time ==============================
\t                 CONV_2D\t            0.000\t    1.356\t    1.350\t 90.000%\t 90.000%\t     0.000\t        1\t[conv]:0
"""


def stub_adb(folder: Path, devices: str) -> None:
    """An adb that knows these devices and nothing else."""
    path = folder / "adb"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = devices ] && printf "List of devices attached\\n{devices}"\n'
    )
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("devices", "address", "message"),
    [
        ("", "adb://", "sees no device.*USB debugging"),
        ("A1\\tunauthorized\\n", "adb://", "'A1' is unauthorized; unlock the phone"),
        ("A1\\toffline\\n", "adb://A1", "'A1' is offline; unplug"),
        ("A1\\tno permissions (udev)\\n", "adb://A1", "udev rules"),
        (
            "A1\\tdevice\\nB2\\toffline\\n",
            "adb://",
            r"several devices: 'A1' \(device\), 'B2' \(offline\); name one",
        ),
        ("A1\\tdevice\\n", "adb://C3", r"does not see the device 'C3'; it sees: 'A1' \(device\)"),
    ],
)
def test_sick_phones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str, address: str, message: str
) -> None:
    stub_adb(tmp_path, devices)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceError, match=message):
        adb.AdbDevice(address)


def test_absent_adb_is_a_missing_dependency(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="adb is not installed; apt-get install adb"):
        adb.AdbDevice("adb://")
    with pytest.raises(MissingDependency, match="qemu-user, mmdebstrap, gcc"):
        check_tools()


def test_ssh_addresses() -> None:
    assert ssh.parse_address("ssh://pi@Board.local:2222") == ("pi@Board.local", 2222)
    assert ssh.parse_address("ssh://board") == ("board", None)
    assert ssh.parse_address("ssh://pi@[fe80::1]:22") == ("pi@fe80::1", 22)
    for bad in (
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://a b",
        "ssh://a/b",
        "ssh://u:p@h",
        "ssh://h:99999",
    ):
        with pytest.raises(ConfigError):
            ssh.parse_address(bad)


def test_unreachable_board_says_so() -> None:
    with pytest.raises(DeviceError, match=r"cannot be reached.*ssh -p 1 127\.0\.0\.1 true"):
        ssh.SshDevice("ssh://127.0.0.1:1")


def test_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    run = CliRunner().invoke
    assert "no devices" in run(app, ["devices", "list"]).stdout
    run(app, ["devices", "add", "pi4", "ssh://pi@board"])
    run(app, ["devices", "add", "phone", "adb://"])
    assert book.read_book() == {"pi4": "ssh://pi@board", "phone": "adb://"}
    assert "ssh://pi@board" in run(app, ["devices", "list"]).stdout
    assert run(app, ["devices", "remove", "phone"]).exit_code == 0
    with pytest.raises(ConfigError, match="did you mean 'pi4'"):
        book.remove_device("pi5")
    for name, address in (
        ("host", "adb://"),
        ("a/b", "adb://"),
        ("x__y", "adb://"),
        ("pi", "telnet://x"),
    ):
        with pytest.raises(ConfigError):
            book.add_device(name, address)
    with pytest.raises(ConfigError, match="did you mean 'pi4'"):
        book.open_device("pi3")
    book.book_path().write_text('{"devices": 3}')
    with pytest.raises(EdgeGANError, match=r"devices\.json"):
        book.read_book()


class Toy:
    """A device that runs no worker: it says that every artefact takes as many ms as it has megabytes."""

    counts: Path | None = None
    left = ""

    def __init__(self, asked: Asked) -> None:
        self.name = asked.name or "toy"

    def probe(self) -> DeviceState:
        return DeviceState(machine="toy")

    def measure(
        self, artefacts: Sequence[tuple[Path, ModelManifest]], threads: int, method: Method
    ) -> list[BenchRecord]:
        states, started = [self.probe()], now()
        about = circumstances(self, states, method, started)
        more = {"threads": threads, "runtime": "toy", "runtime_version": "1", "load_ms": 0.0}
        more |= {"first_inference_ms": 1.0, "peak_rss_bytes": None}
        return [
            BenchRecord(
                **about, **more, **subject(model), **timed([model.bytes / 1e6] * 30, states)
            )
            for _, model in artefacts
        ]

    def worker(self) -> None:
        return None

    def close(self) -> None:
        Toy.left = self.name


def test_a_device_is_one_entry(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bench, the book and messages know it; what needs a worker refuses it by its name."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setitem(book.DEVICES, "toy", DeviceKind(open=Toy))
    monkeypatch.setitem(book.DEVICES, "far", DeviceKind(open=Toy, form="far://NAME"))
    run = CliRunner().invoke
    export = finished_run / "export"
    for device, name in (("toy", "toy"), ("far://here", "far-here")):
        done = run(app, ["bench", str(export), "--device", device, "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert Toy.left == name
        records = {record.artefact: record for record in read_records(tmp_path / name)}
        assert len(records) == 12
        record = records["student_int8.tflite"]
        assert (record.device, record.verdict) == (name, "STABLE")
        assert record.latency["median_ms"] == pytest.approx(record.size_bytes / 1e6, abs=1e-4)
    with pytest.raises(ConfigError, match=r"did you mean 'toy'.*toy, .*far://NAME"):
        book.open_device("toi")
    with pytest.raises(ConfigError, match="not host or arm64 or toy"):
        book.add_device("toy", "far://x")
    book.add_device("near", "far://x")
    pair = [str(export / "student_int8.tflite")] * 2
    refused = run(app, ["bench", "--compare", *pair, "--device", "near"])
    assert isinstance(refused.exception, ConfigError) and "runs Python" in str(refused.exception)
    samples = [Sample(export / "student_int8.tflite", (8,))] * 6
    with pytest.raises(ConfigError, match="measured on near"):
        Bench(book.open_device("near"), samples[0].path, 1)


def test_emulated_cores_are_named_ones() -> None:
    assert check_core("cortex-a76").part == "0xd0b"
    for bad in ("max", "cortex-a75", ""):
        with pytest.raises(ConfigError, match="choose from cortex-a53, cortex-a72, cortex-a76"):
            check_core(bad)
    with pytest.raises(ConfigError, match="goes with --device arm64"):
        book.open_device("host", emulate="cortex-a76")


def test_mirror_is_named_or_the_machines_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both formats of apt; what is switched off, a comment, sources only or another distribution's does not count."""
    monkeypatch.delenv("EDGEGAN_DEBIAN_MIRROR", raising=False)
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    with pytest.raises(MissingDependency, match="EDGEGAN_DEBIAN_MIRROR=http://HOST/debian"):
        debian.debian_mirror(tmp_path)
    (tmp_path / "sources.list").write_text(
        "# deb http://comment/debian bookworm main\ndeb http://u/ubuntu bookworm main\n"
        "deb-src http://source/debian bookworm main\ndeb http://other/debian trixie main\n"
    )
    assert debian.debian_mirror(tmp_path) == "http://other/debian"
    (parts / "a.list").write_text(
        "deb http://s/debian-security bookworm-security main\n"
        "deb [arch=arm64 signed-by=/k] http://line/debian bookworm contrib main # ours\n"
    )
    assert debian.debian_mirror(tmp_path) == "http://line/debian"
    (parts / "b.sources").write_text(
        "Types: deb\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n"
        "Types: deb deb-src\n# a comment\nURIs: http://stanza/debian/\n http://second/debian\n"
        "Suites: bookworm-updates\n bookworm\nComponents: main\n"
    )
    assert debian.debian_mirror(tmp_path) == "http://stanza/debian/"
    monkeypatch.setenv("EDGEGAN_DEBIAN_MIRROR", "http://mirror/debian")
    assert debian.debian_mirror(tmp_path) == "http://mirror/debian"
    assert MissingDependency.exit_code == 4


def test_probe_reads_a_fake_sys(tmp_path: Path) -> None:
    state = HostDevice(sysfs=fake_sys(tmp_path)).probe()
    assert state.big_cores() == [4, 5]
    assert state.temperatures_c == {"thermal_zone0 cpu-thermal": 54.321}
    assert state.energy_uj == {"class/powercap/intel-rapl:0/energy_uj": 123456}
    assert state.throttle_events == 7
    assert state.cores[5].max_khz == 2_400_000
    assert "schedutil" in state.warnings()[0]


def test_a_raspberry_pi_that_throttles() -> None:
    assert parse_state("throttled=throttled=0x50005").throttled
    assert parse_state("throttled=throttled=0x50000").throttled is False  # it did, it does not now
    assert parse_state("machine=aarch64\nnonsense\nsys:x\n").throttled is None


def test_benchmark_tool_text() -> None:
    new = parse_output(TOOL_TEXT)
    assert (new.count, new.average_ms, new.typical_ms()) == (125, 8.0816, 8.05)
    assert (new.init_ms, new.first_ms, new.memory_bytes) == (4.2, 15.231, 3_100_000)
    old = parse_output(OLD_TEXT)
    assert old.typical_ms() == pytest.approx(2950.34)
    assert old.profile == [("CONV_2D", 1.35), ("TANH", 0.15)]
    with pytest.raises(DeviceError, match="gave no result: ERROR: no such file"):
        parse_output("ERROR: no such file")
