"""Programs and files the build needs: Debian packages, two pinned npm packages, and how to call them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgegan.errors import DeviceError, MissingDependency
from edgegan.export.npm import Package, fetch, unpack
from edgegan.files import cache_folder

DEX_PACKAGE = Package(
    "@nativescript/android",
    "9.1.1",
    "f80e15056336240a22325ef7f16046712d82a64bad751bc3107bdfbc3eb8d10f",
)
API_PACKAGE = Package(
    "@nativescript/types-android",
    "9.1.1",
    "16193ea9c70286d5b0d3e2dc559abb483ad61fb599219c59d1a4146fe370b25a",
)
PROGRAMS = {
    "javac": "openjdk-17-jdk-headless",
    "keytool": "openjdk-17-jdk-headless",
    "aapt": "aapt",
    "aapt2": "aapt",
    "apksigner": "apksigner",
    "zipalign": "zipalign",
    "dexdump": "dexdump",
    "npm": "npm",
}
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
JARS = Path("/usr/share/java")
FILES = {
    FRAMEWORK: "android-framework-res",
    JARS / "jna.jar": "libjna-java",
    JARS / "junit4.jar": "junit4",
    JARS / "hamcrest.jar": "libhamcrest-java",
}


class BuildError(Exception):
    """A step of the build that failed, with the program's own words."""


@dataclass(frozen=True)
class Toolchain:
    """Files out of npm packages."""

    dx: Path
    api: Path


def missing_packages() -> list[str]:
    """Debian packages that are needed and not there."""
    wanted = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    wanted += [package for file, package in FILES.items() if not file.exists()]
    return sorted(set(wanted))


def prepare() -> Toolchain:
    """Checks programs, fetches the npm packages; raises MissingDependency with the apt-get line."""
    missing = missing_packages()
    if missing:
        raise MissingDependency(
            f"the Android build needs: apt-get install --no-install-recommends {' '.join(missing)}"
        )
    folder = cache_folder() / "android"
    tools = Toolchain(
        folder / f"dx-{DEX_PACKAGE.version}.jar", folder / f"api-{API_PACKAGE.version}.d.ts"
    )
    members = (
        (DEX_PACKAGE, "framework/build-tools/android-metadata-generator.jar", tools.dx),
        (API_PACKAGE, "lib/android/android-platform-21-37-merged.d.ts", tools.api),
    )
    for package, member, target in members:
        fetch(package, download=True)
        if not target.is_file():
            unpack(package, {member: target}, download=True)
    return tools


def litert_library() -> Path:
    """libLiteRt.so of the installed ai-edge-litert wheel."""
    found = importlib.util.find_spec("ai_edge_litert")
    if found is None or found.origin is None:
        raise MissingDependency(
            "the desktop test needs ai-edge-litert; install it with: pip install 'edgegan[bench]'"
        )
    library = Path(found.origin).with_name("libLiteRt.so")
    if not library.is_file():
        raise DeviceError(f"{library} is missing; the pinned ai-edge-litert 2.3 has it")
    return library


def call(*command: object, cwd: Path | None = None) -> str:
    """Runs a program; returns its stdout. Raises BuildError with the end of its output when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, timeout=600)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise BuildError(f"{Path(words[0]).name} failed ({done.returncode}):\n{said}")
    return done.stdout


def sources(*folders: Path) -> list[Path]:
    """Java files below folders."""
    return sorted(path for folder in folders for path in folder.rglob("*.java"))


def compile_java(files: list[Path], target: Path, release: int, class_path: list[Path]) -> None:
    """Runs javac; release 7 is the newest that the dexer takes."""
    target.mkdir(parents=True, exist_ok=True)
    paths = ":".join(str(path) for path in class_path)
    options = ["-nowarn", "-Xlint:-options", "--release", release, "-encoding", "UTF-8"]
    call("javac", *options, *(["-cp", paths] if paths else []), "-d", target, *files)
