"""--dry-run: what a run would do, in numbers that can be checked, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import SIZE

from edgegan.compress import dry_run as module
from edgegan.compress.dry_run import PROBE_STEPS, dry_run, seconds_each
from edgegan.compress.pipeline import compress
from edgegan.errors import InputError, OutputError
from edgegan.recipe.loading import parse_recipe
from edgegan.recipe.schema import Recipe


def recipe(checkpoint: Path, pictures: Path, **distill: object) -> Recipe:
    return parse_recipe(
        {
            "name": "tiny",
            "teacher": str(checkpoint),
            "data": {"train": str(pictures), "size": [SIZE, SIZE], "crops": 5},
            "student": {"scale": 0.5},
            "distill": {"steps": 30, **distill},
        },
        "test",
    )


def test_a_new_run(resnet_checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    """Shapes, MACs and every stage; the estimate is stages' seconds; no folder appears."""
    plan = dry_run(recipe(resnet_checkpoint, pictures), tmp_path / "run")
    assert plan.input_shape == plan.output_shape == [1, 3, SIZE, SIZE]
    assert (plan.training_images, plan.validation_images) == (9, 1)
    assert [(stage.name, stage.state) for stage in plan.stages] == [
        ("import", "to do"),
        ("teacher_cache", "to do"),
        ("student", "to do"),
    ]
    assert all(stage.seconds > 0 for stage in plan.stages)
    # ngf 16: the trunk has 64 channels at a quarter of the size.
    assert plan.taps["blocks.0"] == [1, 64, SIZE // 4, SIZE // 4]
    stem = 7 * 7 * 3 * 16 * SIZE * SIZE
    assert plan.teacher["macs"] > 2 * stem and plan.teacher["macs"] > 3 * plan.student["macs"]
    text = plan.text()
    assert "estimated time" in text and "nothing was written" in text
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_and_a_finished_run(
    resnet_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is behind is not counted again; another recipe's run is named; nothing in the folder changes."""
    monkeypatch.setattr(module.Probe, "measure_seconds", lambda _self: (2.0, 10.0))
    settings = recipe(resnet_checkpoint, pictures, validate_every=30)
    folder = tmp_path / "run"
    compress(settings, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = dry_run(settings, folder)
    assert [stage.state for stage in done.stages] == ["done"] * 3
    assert sum(stage.seconds for stage in done.stages) == 0
    other = dry_run(recipe(resnet_checkpoint, pictures, steps=31), folder)
    assert other.conflict is not None and "distill.steps" in other.conflict
    assert [stage.seconds for stage in other.stages[1:]] == [(5 + 1) * 2, 31 * 10]
    assert "would be removed" in (dry_run(settings, folder, overwrite=True).conflict or "")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (folder / "stages" / "teacher_cache" / "tap0.npy").unlink()
    lost = dry_run(settings, folder).stages[1]
    assert (lost.state, lost.seconds) == ("to do", 12)


def test_what_compress_would_refuse(resnet_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        dry_run(recipe(resnet_checkpoint, tmp_path / "none"), tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    with pytest.raises(OutputError, match="is not a run"):
        module.earlier_run(tmp_path / "full", recipe(resnet_checkpoint, tmp_path), False)


def test_seconds_each() -> None:
    assert seconds_each([1.0, 1.0 + PROBE_STEPS * 2.0]) == pytest.approx(2)
    assert seconds_each([9.0, 4.0]) == 1
