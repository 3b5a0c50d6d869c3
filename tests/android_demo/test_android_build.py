"""The Android build without Gradle: it passes on a sound app, and every check fails on an unsound one."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import apk
import build as android
import dex
import platform_api
import pytest
import references
import stubs
from support.commands import edgegan
from toolchain import BuildError, call, compile_java, missing_packages, prepare

from edgegan.errors import DeviceError, IntegrityError


@pytest.fixture(scope="module")
def built(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[android.Build]:
    """A finished build of the app with a tiny student; skipped where its programs cannot be had."""
    if missing_packages():
        pytest.skip(f"needs: apt-get install {' '.join(missing_packages())}")
    try:
        tools = prepare()
    except DeviceError as error:
        pytest.skip(str(error))
    project = tmp_path_factory.mktemp("project")
    edgegan("bundle", finished_run, "--target", "android", "--into", project)
    made = android.Build(tmp_path_factory.mktemp("build"), project / "app/src/main/assets", tools)
    (made.output / "generated").mkdir()
    for name, step in android.STEPS.items():
        made.rows.append(["verified", name, step(made), ""])
    yield made


def test_every_step_passes_and_says_what_it_saw(built: android.Build) -> None:
    said = {row[1]: row[2] for row in built.rows}
    assert list(said) == list(android.STEPS)
    assert said["bundle"] == "1 models: resnet_int8"
    assert said["core tests (JUnit)"].startswith("38 tests")
    assert int(said["platform references"].split()[0]) > 300
    assert built.package.stat().st_size > 100_000


@pytest.mark.parametrize("name", ["classes.dex", "assets/models/resnet_int8/model.tflite"])
def test_a_tampered_apk_does_not_verify(built: android.Build, tmp_path: Path, name: str) -> None:
    tampered = tmp_path / "tampered.apk"
    data = bytearray(built.package.read_bytes())
    with zipfile.ZipFile(built.package) as archive:
        entry = archive.getinfo(name)
    data[entry.header_offset + 30 + len(name) + 200] ^= 1
    tampered.write_bytes(data)
    call("apksigner", "verify", "--min-sdk-version", 24, built.package)
    with pytest.raises(BuildError, match="DOES NOT VERIFY"):
        call("apksigner", "verify", "--min-sdk-version", 24, tampered)


PROBE = """class Probe extends android.app.Activity {
    Object probe() {
        getSystemService("window");
        getMagicService("x");
        getResources(1);
        revokeSelfPermissionOnKill("x");
        return createDeviceContext(1);
    }
}
"""
PROBE_STUBS = """class android.content.Context
  Object getSystemService(String)
  Object getMagicService(String)
  Object getResources(int)
  void revokeSelfPermissionOnKill(String)
  android.content.Context createDeviceContext(int)
class android.app.Activity extends android.content.Context
  new()
"""


def test_invented_and_newer_calls_are_found(built: android.Build, tmp_path: Path) -> None:
    """One sound call, one invented, one with a wrong argument, one of API 33, one of API 34."""
    (tmp_path / "x.stubs").write_text(PROBE_STUBS)
    compile_java(stubs.write(tmp_path / "x.stubs", tmp_path / "java"), tmp_path / "s", 8, [])
    (tmp_path / "Probe.java").write_text(PROBE)
    compile_java([tmp_path / "Probe.java"], tmp_path / "c", 7, [tmp_path / "s"])
    target = tmp_path / "classes.dex"
    main = "com.android.dx.command.Main"
    call("java", "-cp", built.tools.dx, main, "--dex", f"--output={target}", tmp_path / "c")
    api = platform_api.load(built.tools.api)
    found = references.check(dex.read(target), api, 24)
    assert sorted(line.split("(")[0] for line in found.unknown) == [
        "android.app.Activity.getMagicService",
        "android.app.Activity.getResources",
    ]
    newer = sorted(line.rsplit(".", 1)[1] for line in found.newer)
    assert newer == [
        "createDeviceContext(number) since API 34",
        "revokeSelfPermissionOnKill(string) since API 33",
    ]
    assert [
        line for line in references.check(dex.read(target), api, 33).newer if "33" in line
    ] == []


def test_core_with_an_android_import_does_not_compile(tmp_path: Path, built: android.Build) -> None:
    del built
    source = tmp_path / "Impure.java"
    source.write_text("class Impure { android.graphics.Bitmap picture; }\n")
    with pytest.raises(BuildError, match=r"package android\.graphics does not exist"):
        compile_java([source], tmp_path / "classes", 7, [])


def elf(alignment: int) -> bytes:
    """A 64-bit ELF header with one load segment of this alignment."""
    header = b"\x7fELF\x02\x01" + bytes(10) + bytes(16) + struct.pack("<Q", 64) + bytes(14)
    header += struct.pack("<HH", 56, 1) + bytes(6)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 100, 100, alignment)


def test_alignment_and_storage(tmp_path: Path) -> None:
    loose = tmp_path / "loose.apk"
    with zipfile.ZipFile(loose, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("lib/arm64-v8a/libx.so", elf(16384))
        archive.writestr("assets/m.tflite", bytes(500), zipfile.ZIP_DEFLATED)
    found = apk.problems(loose)
    assert any("libx.so lies at offset" in line for line in found)
    assert "assets/m.tflite is compressed; it must be stored to be mapped" in found
    tight = tmp_path / "tight.apk"
    apk.align(loose, tight)
    assert apk.problems(tight) == []
    with zipfile.ZipFile(tight, "a") as archive:
        archive.writestr("lib/arm64-v8a/liby.so", elf(4096))
    assert any("liby.so has load segments aligned to 4096" in line for line in apk.problems(tight))


def test_a_wrong_golden_fails_the_build(built: android.Build, tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    shutil.copytree(built.assets, assets)
    other = android.Build(tmp_path / "out", assets, built.tools)
    golden = assets / "models/resnet_int8/golden/output.f32"
    golden.write_bytes(bytes(golden.stat().st_size))
    with pytest.raises(IntegrityError, match=r"output\.f32"):
        android.bundle_is_whole(other)
    classes = [built.classes["core"], built.classes["host"]]
    with pytest.raises(BuildError, match=r"output\.f32 is damaged"):
        android.run_host(classes, "selftest", assets)
    from edgegan.files import read_json, sha256_file, write_json

    card = assets / "models/resnet_int8/model.json"
    values = read_json(card)
    values["golden"]["output_sha256"] = sha256_file(golden)
    write_json(card, values)
    with pytest.raises(BuildError, match="the output is not the golden output"):
        android.run_host(classes, "selftest", assets)
