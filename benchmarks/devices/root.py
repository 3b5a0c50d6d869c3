"""`edgegan devices setup-arm64`: an arm64 Python with LiteRT and ONNX Runtime, run by qemu-user on any machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from edgegan.benchmarks.devices.debian import SUITE, debian_mirror
from edgegan.benchmarks.devices.interface import call
from edgegan.console import say
from edgegan.errors import ConfigError, DeviceError, MissingDependency, OutputError, nearest
from edgegan.files import (
    cache_folder,
    make_folder,
    read_json,
    sha256_file,
    write_json,
)
from edgegan.ownership.folders import manifest_values
from edgegan.ownership.layouts import has

MANIFEST = "arm64.json"
SCHEMA_VERSION = 1
PACKAGES = ("python3-minimal", "libpython3-stdlib", "python3", "libstdc++6", "libgomp1")
REQUIREMENTS = Path(__file__).with_name("arm64_requirements.txt")
PLUGIN_SOURCE = Path(__file__).with_name("count_plugin.c")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
UNUSED = "opt/runtime/ai_edge_litert/libLiteRtWebGpuAccelerator.so"
CHECKED = (
    "usr/bin/python3.11",
    "lib/aarch64-linux-gnu/libc.so.6",
    "opt/runtime/ai_edge_litert/libLiteRt.so",
)
INSTALL = "apt-get install -y --no-install-recommends qemu-user mmdebstrap gcc libc6-dev"
TOOLS = {"qemu-aarch64": "qemu-user", "mmdebstrap": "mmdebstrap", "gcc": "gcc"}


@dataclass(frozen=True)
class EmulatedCore:
    """A core that qemu and XNNPACK's kernel choice agree on: its part number is in /proc/cpuinfo."""

    part: str
    variant: str
    revision: int
    features: str


BASE_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
# Named cores only: qemu 7.2's `-cpu max` computes some int8 networks wrongly.
CORES = {
    "cortex-a53": EmulatedCore("0xd03", "0x0", 4, f"{BASE_FEATURES} cpuid"),
    "cortex-a72": EmulatedCore("0xd08", "0x0", 3, f"{BASE_FEATURES} cpuid"),
    "cortex-a76": EmulatedCore(
        "0xd0b",
        "0x4",
        1,
        f"{BASE_FEATURES} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


def check_core(core: str) -> EmulatedCore:
    """The core of this name; raises ConfigError naming those there are."""
    if core not in CORES:
        raise ConfigError(
            f"--emulate {core!r} is unknown{nearest(core, CORES)}; choose from {', '.join(CORES)}"
        )
    return CORES[core]


def check_tools() -> None:
    """Raises MissingDependency naming every system program that is absent, with the command that installs them."""
    missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if missing:
        raise MissingDependency(
            f"the emulated arm64 core needs the system packages {', '.join(missing)}; "
            f"install them with: {INSTALL}"
        )
    if "-plugin" not in call(["qemu-aarch64", "-h"]).output:
        raise MissingDependency(
            "this qemu-aarch64 takes no plugins, so instructions cannot be counted; "
            f"use Debian 12's own: {INSTALL}"
        )


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Waits while another process sets the same folder up."""
    make_folder(folder)
    lock = FileLock(folder / ".arm64.lock", fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say("another edgegan sets up the arm64 root; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def arm64_root(*, overwrite: bool = False) -> Path:
    """The folder of the emulated machine, set up when it is not there, damaged, or made from other versions."""
    check_tools()
    cache = cache_folder()
    folder = cache / "arm64"
    with only_one(cache):
        reason = "as asked" if overwrite else problem(folder)
        if reason is None:
            return folder
        say(f"setting up the emulated arm64 core in {folder} ({reason}); about 40 s, 240 MB")
        began = time.monotonic()
        with rebuilt(folder) as temporary:
            build(temporary)
        say(f"arm64 set up in {time.monotonic() - began:.0f} s")
    return folder


@contextlib.contextmanager
def rebuilt(folder: Path) -> Iterator[Path]:
    """A new folder for the emulated machine in the cache, which takes the place of the old one when it is whole."""
    old, new = (folder.with_name(f".{folder.name}.{word}") for word in ("old", "new"))
    if folder.is_symlink() or (folder.is_dir() and not is_machine(folder)):
        raise OutputError(
            f"{folder} was not written by edgegan (no valid {MANIFEST} in it); move it away or set EDGEGAN_CACHE"
        )
    for left in (old, new):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
    make_folder(new)
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        for left in (old, new):
            shutil.rmtree(left, ignore_errors=True)


def is_machine(folder: Path) -> bool:
    """Whether a folder of the cache is an emulated machine, of this version or another."""
    values = manifest_values(folder, MANIFEST)
    return has(values, schema_version=int, sources=dict, files=dict)


def problem(folder: Path) -> str | None:
    """Why the folder cannot be used, or None when it can."""
    if not (folder / MANIFEST).is_file():
        return "not there yet"
    about = read_json(folder / MANIFEST)
    if about.get("schema_version") != SCHEMA_VERSION or about.get("sources") != sources():
        return "made from other versions"
    for name, expected in about["files"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != expected:
            return f"{name} is damaged"
    return None


def sources() -> dict[str, str]:
    """What a root is made from, by sha256."""
    return {path.name: sha256_file(path) for path in (REQUIREMENTS, PLUGIN_SOURCE)}


def build(folder: Path) -> None:
    """Debian packages, Python wheels with their hashes checked, one view of the root for each core, the plugin."""
    install_debian(folder / "root", PACKAGES)
    install_wheels(folder / "root" / "opt/runtime")
    for name, core in CORES.items():
        make_view(folder / "cores" / name, core)
    plugin = folder / "count_plugin.so"
    done = call(["gcc", "-O2", "-fPIC", "-shared", "-o", str(plugin), str(PLUGIN_SOURCE)])
    if done.code:
        raise DeviceError(
            f"gcc cannot build the counting plugin: {done.last_words()}; {INSTALL} and try again"
        )
    files = {f"root/{name}": sha256_file(folder / "root" / name) for name in CHECKED}
    files["count_plugin.so"] = sha256_file(plugin)
    about = {
        "schema_version": SCHEMA_VERSION,
        "sources": sources(),
        "debian": debian_packages(folder / "root"),
        "files": files,
    }
    write_json(folder / MANIFEST, about)


def install_debian(root: Path, packages: Sequence[str], more_sources: Sequence[str] = ()) -> None:
    """Unpacks Debian arm64 packages with their signatures checked by apt; no arm64 code runs."""
    mirror = debian_mirror()
    sources_lines = [
        f"deb {mirror} {SUITE} main",
        *(f"deb {mirror} {more}" for more in more_sources),
    ]
    as_root = os.geteuid() == 0
    target = root if as_root else root.with_suffix(".tar")
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--arch=arm64", "--skip=check/qemu"]
    command += [f"--mode={'root' if as_root else 'unshare'}", f"--include={','.join(packages)}"]
    done = call([*command, SUITE, str(target), *sources_lines], 300)
    if done.code:
        hint = "" if as_root else "; without root it needs the package uidmap and user namespaces"
        raise DeviceError(
            f"mmdebstrap cannot unpack arm64 packages of {mirror}: {done.last_words()}{hint}; "
            "check the network, or name a mirror of Debian in EDGEGAN_DEBIAN_MIRROR"
        )
    if not as_root:
        make_folder(root)
        unpack = ["tar", "-xf", str(target), "-C", str(root), "--no-same-owner", "--exclude=./dev"]
        done = call(unpack, 120)
        target.unlink()
        if done.code:
            raise DeviceError(f"tar cannot unpack {target}: {done.last_words()}")


def install_wheels(target: Path) -> None:
    """arm64 wheels of exact versions whose sha256 pip checks."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-warn-script-location", "--disable-pip-version-check", "--target", str(target)]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_aarch64"]
    command += ["--python-version", "3.11", "--implementation", "cp", "--only-binary=:all:"]
    done = call([*command, "-r", str(REQUIREMENTS)], 300)
    if done.code:
        raise DeviceError(
            f"pip cannot get the arm64 runtimes: {done.last_words()}; check the network and run the same command again"
        )
    (target.parents[1] / UNUSED).unlink(missing_ok=True)


def make_view(view: Path, core: EmulatedCore) -> None:
    """The root as one core sees it: links to the root, and a /proc/cpuinfo and /sys of its own.

    Without an arm64 /proc/cpuinfo qemu 7.2 shows this machine's, and the runtimes crash.
    """
    for name in ("bin", "etc", "lib", "opt", "usr", "var"):
        make_folder(view)
        (view / name).symlink_to(Path("../../root") / name)
    processor = (
        f"processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: {core.features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: {core.variant}\nCPU part\t: {core.part}\n"
        f"CPU revision\t: {core.revision}\n\n"
    )
    make_folder(view / "proc")
    (view / "proc/cpuinfo").write_text(processor, encoding="ascii")
    for name in ("possible", "present", "online"):
        path = view / "sys/devices/system/cpu" / name
        make_folder(path.parent)
        path.write_text("0\n", encoding="ascii")


def debian_packages(root: Path) -> dict[str, str]:
    """Name and version of every package that was unpacked."""
    text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    return dict(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", text, re.M | re.S))


def scratch() -> Path:
    """A temporary folder of one device."""
    return Path(tempfile.mkdtemp(prefix="edgegan-device-"))
