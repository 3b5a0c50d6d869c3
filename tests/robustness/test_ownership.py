"""Folders of ours: what is listed is replaced, what is the user's stays, links are never followed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.commands import edgegan
from support.hostile import NAMES

from edgegan.errors import OutputError
from edgegan.files import folder_lock, write_atomic
from edgegan.ownership.folders import clear, held, is_ours, listed_below
from edgegan.ownership.journal import LIST_FILE, read_list
from edgegan.ownership.replacement import atomic_folder
from edgegan.run import Run
from edgegan.training.loop import append


def write_export(folder: Path, **files: str) -> None:
    """A folder of kind export with a list."""
    with held(folder, "export"):
        for name, text in {"export_json": "{}", **files}.items():
            write_atomic(folder / name.replace("_", "."), text.encode())


def package(folder: Path, text: str = "first") -> None:
    """What an import leaves, with one file."""
    with atomic_folder(folder, "package", overwrite=True) as made:
        write_atomic(made / "model.safetensors", text.encode())
        values = {"schema_version": 1, "family": "resnet", "spec": {}, "parameters": 1}
        digest = next(iter(read_list(made)[1]["model.safetensors"] or ()))  # type: ignore[index]
        about = {"model.safetensors": {"sha256": digest, "size_bytes": len(text)}}
        write_atomic(made / "config.json", json.dumps({**values, "files": about}).encode())


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_listed_before_it_is_written(tmp_path: Path) -> None:
    """A list that cannot be written keeps the file from being written."""
    folder = tmp_path / "out"
    with held(folder, "export"):
        write_atomic(folder / "a", b"1")
        (folder / LIST_FILE).unlink()
        with pytest.raises(OutputError):
            write_atomic(folder / "b", b"1")
    assert not (folder / "b").exists()


def test_only_what_is_listed_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    write_export(folder, a_onnx="1", b_onnx="2")
    (folder / "mine.txt").write_text("mine")
    (folder / "b.onnx").write_text("changed")
    with held(folder, "export", overwrite=True):
        assert names(folder) == [".edgegan", ".lock", "b.onnx.kept", "mine.txt"]
    assert (folder / "b.onnx.kept").read_text() == "changed"
    said = capsys.readouterr().err
    assert "b.onnx was changed since edgegan wrote it: kept as b.onnx.kept" in said
    assert "not edgegan's: b.onnx.kept, mine.txt" in said


def test_a_file_of_the_users_is_not_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_export(folder)
    (folder / "a.onnx").write_text("mine")
    with held(folder, "export"), pytest.raises(OutputError, match="not edgegan's"):
        write_atomic(folder / "a.onnx", b"ours")
    assert (folder / "a.onnx").read_text() == "mine"


@pytest.mark.parametrize("path", ["../victim", "/victim", "sub/../../victim", "link/victim"])
def test_a_list_cannot_reach_outside(tmp_path: Path, path: str) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    for victim in (tmp_path / "victim", outside / "victim"):
        victim.write_text("precious")
    write_export(folder)
    (folder / "link").symlink_to(outside)
    name = str(tmp_path / "victim") if path.startswith("/") else path
    with (folder / LIST_FILE).open("a") as file:
        file.write(json.dumps({"path": name}) + "\n")
    with folder_lock(folder):
        clear(folder, "export")
    assert (tmp_path / "victim").read_text() == (outside / "victim").read_text() == "precious"


def test_nothing_is_written_behind_a_link(tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    write_export(folder)
    (folder / "logs").symlink_to(outside)
    (folder / "a.onnx").symlink_to(outside / "a.onnx")
    with held(folder, "export"):
        with pytest.raises(OutputError, match="is a link, and edgegan writes behind none"):
            write_atomic(folder / "logs" / "a.log", b"1")
        with pytest.raises(OutputError, match="a link"):
            write_atomic(folder / "a.onnx", b"1")
    assert not list(outside.iterdir())


def test_a_package_is_replaced_around_the_users_files(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    package(folder)
    assert names(folder) == ["config.json", "model.safetensors"]
    package(folder, "second")
    assert names(tmp_path) == ["package", "package/config.json", "package/model.safetensors"]
    (folder / "sub").mkdir()
    (folder / "sub/notes.txt").write_text("mine")
    package(folder, "third")
    assert (folder / "model.safetensors").read_text() == "third"
    assert names(folder) == ["config.json", "model.safetensors", "sub", "sub/notes.txt"]
    (folder / "model.safetensors").write_text("changed")
    package(folder, "fourth")
    assert (folder / "model.safetensors.kept").read_text() == "changed"
    assert (folder / "model.safetensors").read_text() == "fourth"


def test_what_was_there_comes_back_when_replacing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    package(folder)
    with pytest.raises(ValueError), atomic_folder(folder, "package", overwrite=True) as made:
        write_atomic(made / "model.safetensors", b"half")
        raise ValueError
    assert names(tmp_path) == ["package", "package/config.json", "package/model.safetensors"]
    folder.rename(tmp_path / ".package.old.partial")  # as a kill between two renames leaves it
    package(folder, "second")
    assert names(tmp_path) == ["package", "package/config.json", "package/model.safetensors"]


def test_one_writer_of_a_package(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    with (
        atomic_folder(folder, "package"),
        pytest.raises(OutputError, match="being written by another edgegan"),
        atomic_folder(folder, "package"),
    ):
        pass


def test_what_kills_leave_goes_and_the_users_stays(tmp_path: Path) -> None:
    """Partial files and folders of ours, also of earlier names; hidden files of the user's stay."""
    folder = tmp_path / "package"
    package(folder)
    for name in (".package.partial", ".package.abcd1234.partial"):
        shutil.copytree(folder, tmp_path / name)
    (tmp_path / ".package.mine.partial").mkdir()
    (tmp_path / ".package.mine.partial/notes.txt").write_text("mine")
    package(folder, "second")
    assert names(tmp_path) == [
        *(".package.mine.partial", ".package.mine.partial/notes.txt"),
        *("package", "package/config.json", "package/model.safetensors"),
    ]
    export = tmp_path / "out"
    write_export(export, a_onnx="1")
    for name in (".a.onnx.partial", ".a.onnx.123.partial", ".mine.partial"):
        (export / name).write_text("half")
    with held(export, "export"):
        pass
    assert names(export) == [".edgegan", ".lock", ".mine.partial", "a.onnx", "export.json"]


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_export(folder)
    with (folder / LIST_FILE).open("a") as file:
        file.write('{"path": "cut sh')
    with held(folder, "export"):
        write_atomic(folder / "after", b"1")
    found = read_list(folder)
    assert found is not None and set(found[1]) == {"export.json", "after"}


def test_a_run_of_a_version_without_lists_is_known(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for path in run.rglob(LIST_FILE):
        path.unlink()
    (run / "stages/mine.txt").write_text("mine")
    (run / "student/mine.txt").write_text("mine")
    assert is_ours(run, "run")
    with held(run, "run", overwrite=True):
        pass
    assert names(run) == [
        *(".edgegan", ".lock", "stages", "stages/mine.txt"),
        *("student", "student/.edgegan", "student/mine.txt"),
    ]


def test_replacing_a_run_leaves_nothing_of_it(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    with held(run, "run", overwrite=True):
        assert names(run) == [".edgegan", ".lock"]


@pytest.mark.parametrize("name", ["pictures", "stages/pictures"])
def test_inputs_in_the_run_are_found_first(
    finished_run: Path, resnet_checkpoint: Path, pictures: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    shutil.copytree(pictures, run / name)
    before = names(run)
    words = ["compress", "resnet", "--teacher", resnet_checkpoint, "--data", run / name]
    done = edgegan(*words, "-o", run, "--overwrite", "--set", "data.size=[32,32]", check=False)
    assert done.returncode == 2 and "which --overwrite replaces" in done.stderr
    assert names(run) == before


def test_another_plan_is_not_a_reason_to_delete(tmp_path: Path) -> None:
    with held(tmp_path / "q", "quickstart"):
        write_atomic(tmp_path / "q/quickstart.json", json.dumps({"plan": "0" * 64}).encode())
    (tmp_path / "q/mine.txt").write_text("mine")
    done = edgegan("quickstart", "--brief", "-o", tmp_path / "q", check=False)
    assert done.returncode == 2 and "another plan" in done.stderr and "--overwrite" in done.stderr
    with folder_lock(tmp_path / "q"):
        done = edgegan("quickstart", "--brief", "-o", tmp_path / "q", "--overwrite", check=False)
    assert done.returncode == 2 and "being written by another" in done.stderr
    assert names(tmp_path / "q") == [".edgegan", ".lock", "mine.txt", "quickstart.json"]


def test_a_run_begun_anew_is_not_gone_on_with(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    manifest["recipe"]["seed"] += 1
    (tmp_path / "run/run.json").write_text(json.dumps(manifest))
    with pytest.raises(OutputError, match="begun anew by another"), run.locked():
        pass


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_listed(tmp_path: Path, name: str) -> None:
    with held(tmp_path / name, "export"):
        write_atomic(tmp_path / name / name, b"1")
    with held(tmp_path / name, "export", overwrite=True):
        pass
    assert names(tmp_path / name) == [".edgegan", ".lock"]


def test_a_report_beside_a_run_writes_over_reports_only(finished_run: Path, tmp_path: Path) -> None:
    edgegan("report", finished_run, "-o", tmp_path / "mine.html")
    edgegan("report", finished_run, "-o", tmp_path / "mine.html")
    for suffix in (".html", ".md", ".json"):
        (tmp_path / f"mine{suffix}").write_text('{"mine": 1}')
        done = edgegan("report", finished_run, "-o", tmp_path / "mine.html", check=False)
        assert done.returncode == 2 and "was not written by edgegan" in done.stderr
        assert (tmp_path / f"mine{suffix}").read_text() == '{"mine": 1}'
        (tmp_path / f"mine{suffix}").unlink()
        edgegan("report", finished_run, "-o", tmp_path / "mine.html")


def test_results_are_never_written_over_inputs(
    finished_run: Path, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ["run", finished_run / "student", folder, "--overwrite", "-o"]
    done = edgegan(*words, folder, check=False)
    assert done.returncode == 2 and "was not written by edgegan" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    edgegan(*words, tmp_path / "out")
    edgegan(*words, tmp_path / "out")
    words[2] = tmp_path / "out"
    done = edgegan(*words, tmp_path / "out", check=False)
    assert done.returncode == 2 and "is read and would be replaced" in done.stderr


def test_a_list_of_another_kind_is_not_ours(tmp_path: Path) -> None:
    write_export(tmp_path / "out")
    for kind in ("run", "quickstart", "bench", "assets"):
        assert not is_ours(tmp_path / "out", kind)
        with (
            pytest.raises(OutputError, match="lists something else"),
            held(tmp_path / "out", kind, foreign=True),
        ):
            pass
    with listed_below(tmp_path / "out", "export") as journal:
        assert journal.lists("export.json")


def test_a_backup_of_hard_links_stays_what_it_was(tmp_path: Path) -> None:
    """`cp -al` shares every file: what is written in place is made a file of its own first."""
    folder, log = tmp_path / "run", tmp_path / "run" / "metrics.jsonl"
    with held(folder, "run"):
        append(log, {"stage": "student", "step": 1})
    backup = tmp_path / "backup"
    shutil.copytree(folder, backup, copy_function=os.link)
    before = {name: (backup / name).read_bytes() for name in ("metrics.jsonl", LIST_FILE)}
    with held(folder, "run"):
        append(log, {"stage": "student", "step": 2})
        write_atomic(folder / "recipe.yaml", b"name: a")
    assert len(log.read_text().splitlines()) == 2
    assert "recipe.yaml" in read_list(folder)[1]  # type: ignore[index]
    assert {name: (backup / name).read_bytes() for name in before} == before
