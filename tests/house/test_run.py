"""The ledger of a run: a stage is done once, stale when anything changed, and never recorded by an exception."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgegan.errors import InputError
from edgegan.files import read_json
from edgegan.recipe.schema import Recipe
from edgegan.run import Run


def new_run(folder: Path) -> Run:
    return Run.start(folder, Recipe(name="tiny"), overwrite=False)


def work(run: Run, inputs: str, text: str = "made") -> bool:
    """A stage of one file; returns whether there was something to do."""
    with run.stage("draw", inputs) as stage:
        if stage.todo:
            path = stage.folder / "drawing.txt"
            path.write_text(text, "utf-8")
            stage.wrote(path)
            stage.note(strokes=len(text))
    return stage.todo


def test_a_stage_is_done_until_inputs_or_files_change(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert work(run, "a")
    assert not work(run, "a")
    assert not work(Run.open(run.folder), "a")
    assert run.figures("draw") == {"strokes": 4}
    assert work(run, "b", "again")
    assert not work(run, "b")
    (run.folder / "stages" / "draw" / "drawing.txt").write_text("changed", "utf-8")
    with run.stage("draw", "b") as stage:
        assert stage.todo and stage.stale
    assert run.manifest["stages"]["draw"]["outputs"] == {}


def test_a_new_stage_is_not_stale(tmp_path: Path) -> None:
    with new_run(tmp_path / "run").stage("draw", "a") as stage:
        assert stage.todo and not stage.stale


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_recorded_of_an_interrupted_stage(
    tmp_path: Path, error: type[BaseException]
) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(error), run.stage("draw", "a"):
        raise error
    assert Run.open(run.folder).manifest["stages"] == {}


def test_leaving_early_is_an_end_like_any(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")

    def leave() -> None:
        with run.stage("draw", "a") as stage:
            stage.note(left=True)
            return

    leave()
    assert Run.open(run.folder).figures("draw") == {"left": True}


def test_a_run_whose_student_stage_has_its_former_name(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(InputError, match="has no finished student"):
        run.student_figures()
    manifest = read_json(run.folder / "run.json")
    manifest["stages"]["distill"] = {
        "inputs": "a",
        "outputs": {},
        "figures": {"psnr_to_teacher_db": 21.5},
    }
    (run.folder / "run.json").write_text(json.dumps(manifest), "utf-8")
    opened = Run.open(run.folder)
    assert opened.student_figures() == {"psnr_to_teacher_db": 21.5}
    with opened.locked(), opened.stage("student", "a") as stage:
        assert not stage.todo
