"""doctor: works out what is there by trying it; recipes: every shipped one explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import ROOT

from edgegan import doctor
from edgegan.doctor import Check, ask_version, report, report_text, tool_checks, torch_checks
from edgegan.errors import ConfigError
from edgegan.recipe.headers import REQUIRED, all_headers, find_header, read_header
from edgegan.recipe.loading import load_recipe, shipped_recipes


def test_runtimes_load_a_model_or_say_how_to_get_them() -> None:
    checks = {check.name: check for check in doctor.runtime_checks()}
    assert checks["onnxruntime"].state == "ok" and "ran a model" in checks["onnxruntime"].found
    assert checks["litert"].state == "ok"
    for check in checks.values():
        assert check.state != "broken", check
        assert check.command.startswith("pip install 'edgegan[")


def test_a_broken_runtime_is_not_called_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.TINY_MODELS, "onnx", "bm90IGEgbW9kZWw=")
    monkeypatch.delitem(doctor.LOADERS, ".tflite")
    (check,) = doctor.runtime_checks()
    assert check.state == "broken" and "onnxruntime" in check.found
    (tmp_path / "tool").write_text("#!/bin/sh\necho this is broken\nexit 3\n")
    (tmp_path / "tool").chmod(0o755)
    assert ask_version(str(tmp_path / "tool"), ()) == ("broken", "this is broken")
    assert ask_version(str(tmp_path / "none"), ())[0] == "broken"


def test_missing_packages_and_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    none = tool_checks(find=lambda _name: None)
    assert {check.state for check in none} == {"missing"}
    assert any("apt-get install adb" in check.command for check in none)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _name: None)
    assert torch_checks() == []
    packages = doctor.package_checks()
    assert packages[0] == Check(
        "python",
        "torch",
        "missing",
        "",
        "import, compress, export, evaluate, inspect, zoo",
        "pip install 'edgegan[train]'",
    )
    text = report_text([*packages, *none])
    assert "would enable: measuring on Android phones" in text
    assert f"0 ok, {len(packages) + len(none)} missing" in text
    assert report(packages)["checks"][0]["state"] == "missing"


def test_torch_is_tried() -> None:
    checks = torch_checks()
    assert checks[0].state == "ok" and checks[1].name == "CUDA device"


def test_every_extra_exists() -> None:
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in doctor.PACKAGES:
        assert f"\n{package.extra} = [" in extras


def test_every_shipped_recipe_explains_itself() -> None:
    for header in all_headers():
        missing = [name for name in REQUIRED if not header.fields.get(name)]
        assert not missing, f"{header.name}.yaml opens without {missing}"
        assert header.description
        assert load_recipe(header.name, []).name == header.name


def test_header_fields_run_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "# In short.\n# Hardware: two cores,\n#   no GPU\n# Time: 3 minutes\n"
        "name: mine\n# Expected: not a header any more\ndescription: what it does\n"
    )
    header = read_header(path)
    assert header.fields == {"Hardware": "two cores, no GPU", "Time": "3 minutes"}
    assert (header.notes, header.description) == ("In short.", "what it does")


def test_unknown_recipe_names_the_nearest() -> None:
    assert find_header("resnet").text == shipped_recipes()["resnet"].read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'resnet'"):
        find_header("resne")
