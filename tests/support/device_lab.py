"""A board and a phone for tests: real sshd and adbd that land in an emulated arm64 root, in namespaces of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgegan.benchmarks.devices import root
from edgegan.files import cache_folder, write_json

BACKPORTS = "bookworm-backports"
ADB_PACKAGES = (
    "adbd",
    "android-libbase",
    "android-libboringssl",
    "android-libcutils",
    "android-liblog",
)
PACKAGES = (
    *root.PACKAGES,
    *(f"{name}/{BACKPORTS}" for name in ADB_PACKAGES),
    "toybox",
    "dash",
    "coreutils",
    "procps",
    "openssh-sftp-server",
)
PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "scp": "openssh-client",
    "/usr/sbin/sshd": "openssh-server",
    "adb": "adb",
    "unshare": "util-linux",
}
MARKER = "lab.json"
# An aarch64 ELF file is run by the static emulator, held open from outside the root (flag F).
BINFMT = (
    r":arm:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{emulator}:F"
)
ENTER = r"""
set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' '{binfmt}' > /proc/sys/fs/binfmt_misc/register
mount --rbind /proc '{root}/proc'
mount --bind '{cpuinfo}' '{root}/proc/cpuinfo'
"""
CHROOT = "exec env -i QEMU_CPU=cortex-a76 HOME=/root PATH=/usr/bin:/bin /usr/sbin/chroot '{root}'"
GETPROP = '#!/bin/sh\ncase "$1" in ro.product.model) echo "Pixel Stub";; ro.soc.model) echo Tensor;; esac\n'
DUMPSYS = (
    '#!/bin/sh\ncase "$1" in battery) echo "  level: 88"; echo "  temperature: 315";; '
    'thermalservice) echo "Thermal Status: 0";; esac\n'
)


def needed() -> None:
    """Skips with the package's name when a program is absent."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")


def lab_root() -> Path:
    """The arm64 root that board and phone share, built once and kept in the cache folder."""
    needed()
    main = root.arm64_root()
    folder = cache_folder() / "lab"
    with root.only_one(cache_folder()):
        if not (folder / MARKER).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            with root.rebuilt(folder) as temporary:
                root.install_debian(temporary / "root", PACKAGES, (f"{BACKPORTS} main",))
                finish(temporary / "root", main)
                write_json(temporary / MARKER, {})
    return folder / "root"


def finish(lab: Path, main: Path) -> None:
    """The runtimes by hard links, mount points, Android's folders and stubs."""
    for name in ("opt", "proc", "sys", "dev/pts", "root", "data/local/tmp"):
        (lab / name).mkdir(parents=True, exist_ok=True)
    (lab / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    link = ["cp", "-al", str(main / "root/opt/runtime"), str(lab / "opt/runtime")]
    subprocess.run(link, check=True)
    (lab / "usr/lib/python3/dist-packages/runtime.pth").write_text("/opt/runtime\n")
    for name, text in (("getprop", GETPROP), ("dumpsys", DUMPSYS)):
        path = lab / "usr/bin" / name
        path.write_text(text)
        path.chmod(0o755)
    zone = lab / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("41500\n")
    (zone / "type").write_text("soc\n")
    core = lab / "sys/devices/system/cpu/cpu0/cpufreq"
    core.mkdir(parents=True)
    (core / "scaling_governor").write_text("ondemand\n")
    for name in ("possible", "present", "online"):  # without them XNNPACK does not start
        (core.parents[1] / name).write_text("0\n")


def entry(lab: Path) -> str:
    """The shell lines that make a namespace an arm64 machine."""
    binfmt = BINFMT.format(emulator=shutil.which("qemu-aarch64-static"))
    cpuinfo = cache_folder() / "arm64/cores/cortex-a76/proc/cpuinfo"
    return ENTER.format(binfmt=binfmt, root=lab, cpuinfo=cpuinfo)


def check_namespaces(lab: Path) -> None:
    """Skips where the kernel gives no binfmt_misc of its own to a user namespace (before Linux 6.7)."""
    script = entry(lab) + CHROOT.format(root=lab) + " /bin/uname -m"
    command = ["unshare", "-Urmpf", "--mount-proc", "bash", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.stdout.strip() != "aarch64":
        pytest.skip(
            f"no private binfmt_misc here (Linux 6.7 or newer has it): {done.stderr.strip()}"
        )


@dataclass
class Board:
    """A real sshd on loopback; `tools` stands first in PATH and gives ssh and scp this board's configuration."""

    root: Path
    port: int
    tools: Path
    sshd: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        """Workers of ours that run on the board."""
        start = "/usr/bin/python3 -u /tmp/edgegan."
        return [pid for pid, line in command_lines() if start in line and "qemu-aarch64" in line]

    def sessions(self) -> list[int]:
        """The sshd processes that serve connections of this board."""
        return [pid for pid, parent in parents() if parent == self.sshd.pid]


def command_lines() -> list[tuple[int, str]]:
    """Every process with its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append((int(path.parent.name), line))
    return found


def parents() -> list[tuple[int, int]]:
    """Every process with its parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            found.append(
                (int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1]))
            )
    return found


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, condition: object, limit_s: float = 30.0) -> None:
    """Polls a callable until it is true; fails after the limit."""
    assert callable(condition)
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen in {limit_s:.0f} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether something answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def start_board(folder: Path) -> Iterator[Board]:
    """sshd with keys of its own whose every session lands in the arm64 root."""
    lab = lab_root()
    check_namespaces(lab)
    for key in ("host_key", "user_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(make, check=True)
    port = free_port()
    inner = entry(lab) + CHROOT.format(root=lab) + ' /bin/sh -c "cd; $SSH_ORIGINAL_COMMAND"'
    (folder / "inner").write_text(f"#!/bin/bash\n{inner}\n")
    (folder / "enter").write_text(
        f"#!/bin/bash\nexec unshare -Urmpf --kill-child --mount-proc bash {folder}/inner\n"
    )
    for name in ("inner", "enter"):
        (folder / name).chmod(0o755)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        f"Subsystem sftp /usr/lib/openssh/sftp-server\nForceCommand {folder}/enter\n"
    )
    (folder / "ssh_config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\nHost *\n  IdentityFile {folder}/user_key\n"
        f"  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile {folder}/known\n"
        "  LogLevel ERROR\n"
    )
    tools = folder / "tools"
    tools.mkdir()
    for name in ("ssh", "scp"):
        (tools / name).write_text(
            f'#!/bin/sh\nexec {shutil.which(name)} -F {folder}/ssh_config "$@"\n'
        )
        (tools / name).chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    sshd = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    )
    try:
        wait_for("sshd", lambda: listens(port))
        yield Board(lab, port, tools, sshd)
    finally:
        sshd.terminate()
        sshd.wait()


@dataclass
class Phone:
    """A real adbd in a network namespace, reached through an adb server with a socket of its own."""

    root: Path
    serial: str
    environment: dict[str, str]

    def adb(self, *arguments: str) -> str:
        """Runs adb against this phone's server."""
        command = ["adb", "-s", self.serial, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
        )
        return done.stdout


@contextlib.contextmanager
def start_phone(folder: Path) -> Iterator[Phone]:
    """adbd binds port 5555 of every address, so it and the adb server live in a namespace with its own loopback."""
    lab = lab_root()
    check_namespaces(lab)
    socket_path = f"localfilesystem:{folder}/adb"
    daemon = CHROOT.format(root=lab).replace("exec ", "", 1)
    script = (
        "ip link set lo up\n"
        + entry(lab)
        + f"mount --rbind /dev '{lab}/dev'\n"
        + f"mount -t devpts devpts '{lab}/dev/pts' -o newinstance,ptmxmode=0666\n"
        + f"{daemon} /usr/lib/android-sdk/platform-tools/adbd > {folder}/adbd.log 2>&1 &\n"
        + f"HOME={folder} exec adb -L {socket_path} server nodaemon > {folder}/server.log 2>&1\n"
    )
    command = ["unshare", "-Urmpfn", "--kill-child", "--mount-proc", "bash", "-c", script]
    process = subprocess.Popen(command)
    phone = Phone(lab, "127.0.0.1:5555", {"ADB_SERVER_SOCKET": socket_path})
    try:
        wait_for("the adb server", lambda: (folder / "adb").exists())
        wait_for("adbd", lambda: "connected" in phone.adb("connect", phone.serial))
        wait_for("the phone", lambda: "aarch64" in phone.adb("shell", "uname -m"))
        yield phone
    finally:
        process.kill()
        process.wait()
