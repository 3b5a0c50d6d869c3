"""Builds and checks the Android app without Gradle or an Android SDK; prints what was verified and what was not.

usage: python android_demo/ci/build.py [--fetch] [--assets FOLDER] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apk
import dex
import platform_api
import references
import stubs
from toolchain import (
    FRAMEWORK,
    JARS,
    BuildError,
    Toolchain,
    call,
    compile_java,
    litert_library,
    prepare,
    sources,
)

from edgegan.artefact import BundledModel
from edgegan.console import emit, say
from edgegan.errors import EXIT_GATE, EdgeGANError
from edgegan.files import check_sha256, read_json

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "org.edgegan.demo"
MIN_SDK, TARGET_SDK = 24, 36
CORE_TESTS = ["BundleTest", "JsonTest", "PixelsTest", "StatisticsTest", "TilingTest"]
CORE_TEST_HEAP_MB = 128
JUNIT = [JARS / "junit4.jar", JARS / "hamcrest.jar"]
PASSWORD = "pass:android"
# Elements and attributes newer than API 29, the newest that Debian's aapt2 knows; Gradle's knows them.
TOO_NEW = [re.compile(r"<uses-native-library[^>]*/>")]
NOT_HERE = [
    ("Gradle and AGP", "Google's Maven cannot be reached; open android_demo in Android Studio"),
    ("LiteRT inside the APK", "its AAR comes from the same Maven; this APK says so on its screen"),
    ("running on Android (ART)", "no device and no emulator image"),
    ("GPU", "needs a phone; the app refuses a silent fallback to the CPU"),
    ("camera", "needs a phone; its colour conversion and rotation are in the core's tests"),
    ("how the screens look", "docs/app.md shows wireframes drawn from the layouts"),
]


@dataclass
class Build:
    """Folders of one build, and what was verified so far."""

    output: Path
    assets: Path
    tools: Toolchain
    rows: list[list[str]] = field(default_factory=list)

    @property
    def classes(self) -> dict[str, Path]:
        return {name: self.output / name for name in ("stubs", "core", "app", "tests", "host")}

    @property
    def package(self) -> Path:
        return self.output / "edgegan-demo.apk"


def bundle_is_whole(build: Build) -> str:
    """Every bundled model.json is valid and its files have their hashes."""
    index = build.assets / "models/index.json"
    if not index.is_file():
        raise BuildError(
            f"no model in {build.assets}; bundle one with: edgegan bundle RUN --target android"
        )
    models = read_json(index)["models"]
    for name in models:
        folder = build.assets / "models" / name
        model = BundledModel.model_validate(read_json(folder / "model.json"))
        check_sha256(folder / model.file, model.sha256)
        check_sha256(folder / model.golden.input, model.golden.input_sha256)
        check_sha256(folder / model.golden.output, model.golden.output_sha256)
    return f"{len(models)} models: {', '.join(models)}"


def core_compiles_alone(build: Build) -> str:
    """javac --release 7 with nothing on the class path."""
    files = sources(ROOT / "core/src/main")
    compile_java(files, build.classes["core"], 7, [])
    return f"{len(files)} files, no android.* to be seen"


def core_tests_pass(build: Build) -> str:
    """JUnit in a small heap, which bounds the memory of a 108-megapixel picture."""
    path = [*JUNIT, build.classes["core"]]
    compile_java(sources(ROOT / "core/src/test"), build.classes["tests"], 8, path)
    class_path = ":".join(str(p) for p in [*path, build.classes["tests"]])
    names = [f"org.edgegan.core.{name}" for name in CORE_TESTS]
    heap = f"-Xmx{CORE_TEST_HEAP_MB}m"
    said = call("java", heap, "-cp", class_path, "org.junit.runner.JUnitCore", *names)
    return f"{said.split('OK (')[1].split(')')[0]} in a heap of {CORE_TEST_HEAP_MB} MB"


def resources_link(build: Build) -> str:
    """aapt2 against the framework of API 29; the manifest gets what Gradle would add."""
    manifest = (ROOT / "app/src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    left_out = sum(len(pattern.findall(manifest)) for pattern in TOO_NEW)
    for pattern in TOO_NEW:
        manifest = pattern.sub("", manifest)
    merged = build.output / "AndroidManifest.xml"
    merged.write_text(
        manifest.replace("<manifest ", f'<manifest package="{PACKAGE}" ', 1), encoding="utf-8"
    )
    compiled = build.output / "resources.zip"
    call("aapt2", "compile", "--dir", ROOT / "app/src/main/res", "-o", compiled)
    versions = ["--min-sdk-version", MIN_SDK, "--target-sdk-version", TARGET_SDK]
    versions += ["--version-code", 1, "--version-name", "0.1"]
    call(
        "aapt2", "link", "-o", build.output / "base.apk", "-I", FRAMEWORK, "--manifest", merged,
        "--java", build.output / "generated", "-A", build.assets, "-0", "tflite", "-0", "f32",
        *versions, compiled,
    )  # fmt: skip
    return f"{left_out} element newer than API 29 left to Gradle"


def app_compiles(build: Build) -> str:
    """javac --release 7 against the stubs."""
    folder = build.output / "stub-sources"
    written = [
        path
        for name in ("platform", "litert", "device_test")
        for path in stubs.write(ROOT / f"ci/{name}.stubs", folder)
    ]
    compile_java(written, build.classes["stubs"], 8, JUNIT)
    files = sources(ROOT / "app/src/main/java", build.output / "generated")
    compile_java(files, build.classes["app"], 7, [build.classes["stubs"], build.classes["core"]])
    tests = sources(ROOT / "app/src/androidTest")
    path = [build.classes[name] for name in ("stubs", "core", "app")]
    compile_java(tests, build.output / "device-tests", 8, [*path, *JUNIT])
    return f"{len(files)} files and {len(tests)} device test against {len(written)} stubs"


def classes_dex(build: Build) -> str:
    """dx to classes.dex, read back by dexdump."""
    target = build.output / "classes.dex"
    dx = ["java", "-Xmx1g", "-cp", build.tools.dx, "com.android.dx.command.Main", "--dex"]
    call(*dx, f"--output={target}", build.classes["core"], build.classes["app"])
    count = call("dexdump", target).count("Class descriptor")
    return f"{count} classes, {target.stat().st_size / 1e3:.0f} kB"


def references_are_public(build: Build) -> str:
    """Every platform reference of the dex against the public API list and minSdk."""
    api = platform_api.load(build.tools.api)
    found = references.check(dex.read(build.output / "classes.dex"), api, MIN_SDK)
    if found.unknown or found.newer:
        lines = [f"unknown: {line}" for line in found.unknown]
        raise BuildError(
            "\n".join([*lines, *(f"newer than API {MIN_SDK}: {line}" for line in found.newer)])
        )
    return f"{found.checked} references, {len(api)} public classes, none newer than API {MIN_SDK}"


def package_is_signed(build: Build) -> str:
    """Packs, aligns, signs with a generated key, verifies."""
    unaligned = build.output / "unaligned.apk"
    shutil.copyfile(build.output / "base.apk", unaligned)
    with zipfile.ZipFile(unaligned, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.write(build.output / "classes.dex", "classes.dex")
    aligned = build.output / "aligned.apk"
    apk.align(unaligned, aligned)
    key = build.output / "debug.p12"
    if not key.is_file():
        call(
            "keytool", "-genkeypair", "-keystore", key, "-storetype", "PKCS12", "-storepass", "android",
            "-alias", "debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000",
            "-dname", "CN=edgegan debug",
        )  # fmt: skip
    sign = ["--ks", key, "--ks-pass", PASSWORD, "--ks-key-alias", "debug"]
    call("apksigner", "sign", *sign, "--min-sdk-version", MIN_SDK, "--out", build.package, aligned)
    said = call("apksigner", "verify", "--verbose", "--min-sdk-version", MIN_SDK, build.package)
    if "v2 scheme (APK Signature Scheme v2): true" not in said:
        raise BuildError(f"not signed with scheme v2:\n{said}")
    return f"schemes v2 and v3, {build.package.stat().st_size / 1e6:.2f} MB"


def package_is_aligned(build: Build) -> str:
    """4 bytes by zipalign, 16 KB and stored models by our own check."""
    call("zipalign", "-c", "-p", 4, build.package)
    found = apk.problems(build.package)
    if found:
        raise BuildError("\n".join(found))
    return "4 bytes, libraries 16 KB, models stored"


def badging_is_right(build: Build) -> str:
    """What a store would read."""
    said = call("aapt", "dump", "badging", build.package)
    wanted = [
        f"package: name='{PACKAGE}'",
        f"sdkVersion:'{MIN_SDK}'",
        f"targetSdkVersion:'{TARGET_SDK}'",
        f"launchable-activity: name='{PACKAGE}.MainActivity'",
    ]
    absent = [line for line in wanted if line not in said]
    if absent:
        raise BuildError(f"badging lacks {absent}:\n{said}")
    return f"{PACKAGE}, API {MIN_SDK} to {TARGET_SDK}"


def desktop_self_test(build: Build) -> str:
    """The classes of the dex drive the real LiteRT library of the Python wheel on every golden input."""
    compile_host(build.classes["core"], build.classes["host"])
    said = run_host([build.classes["core"], build.classes["host"]], "selftest", build.assets)
    return f"{said.count('PASS ')} models give their golden output in LiteRT through JNA"


def compile_host(core: Path, target: Path) -> None:
    """The desktop runner."""
    compile_java(sources(ROOT / "host/src/main"), target, 8, [JARS / "jna.jar", core])


def run_host(classes: list[Path], *arguments: object) -> str:
    """Runs org.edgegan.host.Main; raises BuildError when a self-test fails."""
    class_path = ":".join(str(path) for path in [*classes, JARS / "jna.jar"])
    java = ["java", f"-Dlitert.library={litert_library()}", "-cp", class_path]
    return call(*java, "org.edgegan.host.Main", *arguments)


STEPS: dict[str, Callable[[Build], str]] = {
    "bundle": bundle_is_whole,
    "core compiles without Android": core_compiles_alone,
    "core tests (JUnit)": core_tests_pass,
    "resources and manifest link": resources_link,
    "app compiles": app_compiles,
    "dex": classes_dex,
    "platform references": references_are_public,
    "APK signed and verified": package_is_signed,
    "APK alignment": package_is_aligned,
    "APK badging": badging_is_right,
    "models on this computer": desktop_self_test,
}


def main() -> int:
    """Runs the steps in order; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fetch", action="store_true", help="fetch what the build needs, then stop"
    )
    parser.add_argument("--assets", type=Path, default=ROOT / "app/src/main/assets")
    parser.add_argument("--output", type=Path, default=ROOT / "build/ci")
    options = parser.parse_args()
    try:
        tools = prepare()
        if options.fetch:
            return 0
        for name in (
            "stubs",
            "core",
            "app",
            "tests",
            "host",
            "generated",
            "stub-sources",
            "device-tests",
        ):
            shutil.rmtree(options.output / name, ignore_errors=True)
        (options.output / "generated").mkdir(parents=True)
        build = Build(options.output, options.assets, tools)
        for name, step in STEPS.items():
            began = time.monotonic()
            say(f"  {name}")
            build.rows.append(["verified", name, step(build), f"{time.monotonic() - began:.1f} s"])
    except EdgeGANError as error:
        say(f"android: {error}")
        return error.exit_code
    except BuildError as error:
        say(f"android: {name}: {error}")
        return EXIT_GATE
    rows = build.rows + [["not here", name, why, ""] for name, why in NOT_HERE]
    for verdict, name, what, duration in rows:
        emit(f"{verdict:<9} {name:<31} {what:<76} {duration:>7}".rstrip())
    emit(f"APK: {build.package}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
