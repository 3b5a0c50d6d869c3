"""`edgegan doctor`: what is installed, whether it really works, and what each missing piece would enable."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgegan.benchmarks.devices.debian import debian_mirror
from edgegan.benchmarks.devices.root import INSTALL
from edgegan.benchmarks.devices.root import TOOLS as ARM64_TOOLS
from edgegan.deployment.runtimes import LOADERS, RUNTIMES
from edgegan.errors import EdgeGANError, MissingDependency
from edgegan.files import optional_import
from edgegan.run import environment
from edgegan.runtime import limits
from edgegan.runtime.session import Session, our_own
from edgegan.streams import printable

State = Literal["ok", "missing", "broken"]
TOOL_TIMEOUT_S = 15.0
CONFINING = "Linux 5.13 or newer with Landlock, or with user namespaces, on x86_64 or arm64"

# Both compute max(x, 0) of four numbers.
TINY_MODELS = {
    "onnx": "CAg6OwoMCgF4EgF5IgRSZWx1EgFnWhMKAXgSDgoMCAESCAoCCAEKAggEYhMKAXkSDgoMCAESCAoCCAEKAggEQgQKABAN",
    "tflite": (
        "GAAAAFRGTDMAAA4AGAAUABAADAAIAAQADgAAABQAAAAgAAAAJAAAAOAAAAADAAAAAQAAAAgAAAAEAAQABAAAAAAA"
        "AAAAAAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQA"
        "CgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAANAAAAAQAAADg////CAAAAAwA"
        "AAABAAAAeQAAAAIAAAABAAAABAAAAAwADAAIAAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAgAAAAEAAAAEAAAA"
        "AQAAABAAAAAMAAwACwAAAAAABAAMAAAAEwAAAAAAABM="
    ),
}


@dataclass(frozen=True)
class Check:
    """One piece: its state, what was found, what it enables, and the command that installs it."""

    group: str
    name: str
    state: State
    found: str
    enables: str
    command: str


@dataclass(frozen=True)
class Package:
    """A Python package by its import name."""

    module: str
    distribution: str
    extra: str
    enables: str


PACKAGES = (
    Package("torch", "torch", "train", "import, compress, export, evaluate, inspect, zoo"),
    Package("fvcore", "fvcore", "train", "the second count of MACs"),
    Package("onnx", "onnx", "onnx", "export --target onnx"),
    Package("onnxscript", "onnxscript", "onnx", "export --target onnx"),
    Package("onnxsim", "onnxsim", "onnx", "smaller ONNX graphs"),
    Package("litert_torch", "litert-torch", "tflite", "export --target tflite"),
    Package("ai_edge_quantizer", "ai-edge-quantizer", "tflite", "int8 and fp16 .tflite"),
    Package("scipy", "scipy", "dev", "the tests"),
)


@dataclass(frozen=True)
class Tool:
    """A program of the system: the names it may have, and how it tells its version."""

    names: tuple[str, ...]
    arguments: tuple[str, ...]
    enables: str
    command: str


TOOLS = (
    Tool(("adb",), ("version",), "measuring on Android phones", "apt-get install adb"),
    Tool(("ssh",), ("-V",), "measuring on boards over SSH", "apt-get install openssh-client"),
    *(
        Tool((program,), ("--version",), "counting arm64 instructions without a board", INSTALL)
        for program in ARM64_TOOLS
    ),
    Tool(
        ("javac",),
        ("-version",),
        "building and testing the Android app's core",
        "apt-get install openjdk-17-jdk-headless",
    ),
    Tool(
        ("chromium", "chromium-browser", "google-chrome"),
        ("--version",),
        "pictures of the report and tests of the web page",
        "apt-get install chromium",
    ),
)


def examine() -> list[Check]:
    """Every check in order: Python packages, torch, runtimes that load a model, system tools."""
    return [
        *package_checks(),
        *torch_checks(),
        *runtime_checks(),
        confinement_check(),
        *tool_checks(),
        mirror_check(),
    ]


def package_checks() -> list[Check]:
    """Python packages and their versions; nothing is imported."""
    checks = []
    for package in PACKAGES:
        state: State = "ok" if importlib.util.find_spec(package.module) else "missing"
        found = version_of(package.distribution) if state == "ok" else ""
        command = f"pip install 'edgegan[{package.extra}]'"
        checks.append(Check("python", package.distribution, state, found, package.enables, command))
    return checks


def mirror_check() -> Check:
    """Whether the emulated core's packages have a place to come from; nothing is contacted."""
    name, enables = "Debian mirror", "setting up the emulated arm64 core"
    command = "EDGEGAN_DEBIAN_MIRROR=http://HOST/debian"
    try:
        return Check("tools", name, "ok", debian_mirror(), enables, command)
    except MissingDependency:
        return Check("tools", name, "missing", "", enables, command)


def version_of(distribution: str) -> str:
    """An installed version, or a word that it is unknown."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def torch_checks() -> list[Check]:
    """Whether torch computes, and whether it sees a GPU."""
    if importlib.util.find_spec("torch") is None:
        return []
    again = "pip install --force-reinstall torch"
    try:
        torch = optional_import("torch", "train")
        total = float(torch.ones(3).sum())
    except Exception as error:  # a broken binary can fail in any way; that is the finding
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return [Check("torch", "torch computes", "broken", reason, "everything in PyTorch", again)]
    found = f"{torch.__version__}, {torch.get_num_threads()} threads"
    checks = [Check("torch", "torch computes", "ok" if total == 3 else "broken", found, "", again)]
    cuda = bool(torch.cuda.is_available())
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
    checks.append(
        Check(
            "torch",
            "CUDA device",
            "ok" if cuda else "missing",
            str(torch.cuda.get_device_name(0)) if cuda else build,
            "training on a GPU",
            "install a GPU driver and a CUDA build of torch (pytorch.org/get-started)",
        )
    )
    return checks


def runtime_checks() -> list[Check]:
    """Every runtime loads a model of one operation and runs it, in a process of its own."""
    checks = []
    with tempfile.TemporaryDirectory(prefix="edgegan-") as scratch:
        for suffix, loader in LOADERS.items():
            model = Path(scratch) / f"tiny{suffix}"
            model.write_bytes(base64.b64decode(TINY_MODELS[loader.target]))
            for name in loader.runtimes:
                state, found = try_runtime(model, name)
                command = f"pip install 'edgegan[{RUNTIMES[name].extra}]'"
                enables = f"proving, measuring and running {suffix} files"
                checks.append(Check("runtimes", name, state, found, enables, command))
    return checks


def confinement_check() -> Check:
    """How networks are kept from writing files and from the network here."""
    how = limits.describe()
    state: State = "ok" if how else "missing"
    enables = "running networks that are not edgegan's own without --trust"
    found = f"networks run confined by {how}" if how else ""
    return Check("runtimes", "confinement", state, found, enables, CONFINING)


def try_runtime(model: Path, name: str) -> tuple[State, str]:
    """Whether a runtime computes what the tiny model should."""
    if importlib.util.find_spec(RUNTIMES[name].module) is None:
        return "missing", ""
    try:
        with Session(model, runtime=name, how=our_own(model)) as session:
            made = session.run(np.array([[-1, 2, -3, 4]], np.float32))
            version = session.version
    except EdgeGANError as error:
        return "broken", str(error).splitlines()[0]
    if made.tolist() != [[0, 2, 0, 4]]:
        return "broken", f"{version} computes {made.tolist()} for max(x, 0)"
    return "ok", f"{version}, ran a model"


def tool_checks(
    find: Callable[[str], str | None] = shutil.which,
) -> list[Check]:
    """Programs of the system, each asked for its version."""
    checks = []
    for tool in TOOLS:
        path = next((where for name in tool.names if (where := find(name))), None)
        state: State = "missing"
        found = ""
        if path is not None:
            state, found = ask_version(path, tool.arguments)
        checks.append(Check("tools", tool.names[0], state, found, tool.enables, tool.command))
    return checks


def ask_version(path: str, arguments: tuple[str, ...]) -> tuple[State, str]:
    """The first line a program prints about itself."""
    try:
        done = subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "broken", f"{path}: {error}"
    lines = (done.stdout + done.stderr).strip().splitlines()
    first = lines[0][:80] if lines else path
    return ("ok", first) if done.returncode == 0 else ("broken", first)


def report(checks: list[Check]) -> dict[str, Any]:
    """Everything as JSON, with the environment."""
    return {"environment": environment(), "checks": [asdict(check) for check in checks]}


def report_text(checks: list[Check]) -> str:
    """A list a person can act on: what is there, then what each missing piece would enable and how to get it."""
    about = environment()
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}, "
        f"edgegan {about['edgegan']}",
    ]
    width = max(len(check.name) for check in checks)
    for group in dict.fromkeys(check.group for check in checks):
        lines.append(group)
        for check in checks:
            if check.group != group:
                continue
            lines.append(f"  {check.state:8} {check.name:{width}}  {check.found}".rstrip())
            if check.state != "ok":
                lines.append(f"  {'':8} {'':{width}}  would enable: {check.enables}")
                lines.append(f"  {'':8} {'':{width}}  {check.command}")
    wrong = [check.name for check in checks if check.state == "broken"]
    missing = sum(check.state == "missing" for check in checks)
    broken = f"; broken: {', '.join(wrong)}" if wrong else ""
    lines.append(f"{len(checks) - missing - len(wrong)} ok, {missing} missing{broken}")
    return "\n".join(map(printable, lines))
