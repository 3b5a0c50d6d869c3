"""The comparison: no two arms are the same training, all take as many steps, verdicts, resuming and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgegan.compare.arms import ARMS, recipes_of, same_trainings
from edgegan.compare.comparison import Entry, compare, with_package
from edgegan.compare.summary import markdown, plot, write_comparison
from edgegan.compare.verdict import student_t, verdicts
from edgegan.errors import ConfigError
from edgegan.models.packaging import import_to_package
from edgegan.recipe.loading import load_recipe
from edgegan.recipe.schema import Recipe
from edgegan.run import Run

STEPS = 20
RUN = ["uniform", "gd", "cp", "d_cp", "cascade", "gs_no_cp", "slimming", "gan_compression"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "teacher"
    import_to_package(resnet_checkpoint, folder, size=(32, 32))
    return folder


def recipe_for(teacher: Path, pictures: Path, *more: str) -> Recipe:
    settings = ["data.size=[32,32]", "data.crops=4", "method=gan-slimming", "budget.bytes=106000"]
    settings += ["slim.prune_times=3", f"distill.steps={STEPS}", "data.validation_images=1"]
    settings += [
        f"{key}={json.dumps(str(value))}"
        for key, value in (("teacher", teacher), ("data.train", pictures))
    ]
    return load_recipe("resnet", [*settings, *more])


def trained_steps(recipe: Recipe) -> int:
    """Steps of a network of the student's kind, a supernet's as often as it has sub-networks."""
    if recipe.method == "gan-compression":
        return recipe.supernet.steps * recipe.supernet.networks + recipe.search.finetune_steps
    return recipe.distill.steps + (
        recipe.slim.finetune_steps if recipe.method == "gan-slimming" else 0
    )


def test_no_two_arms_are_the_same_training(teacher: Path, pictures: Path) -> None:
    recipe = recipe_for(teacher, pictures)
    assert same_trainings(recipe, list(ARMS), 0) == []
    # what the table of 2026-11-21 had: without quantization, "cascade" was this
    plain = recipe_for(teacher, pictures, "slim.quantize=none")
    assert same_trainings(plain, ["slimming", "no_int8", "uniform"], 0) == [("slimming", "no_int8")]
    with pytest.raises(ConfigError, match="slimming and no_int8 are the same training"):
        compare(plain, teacher.parent / "same", ["slimming", "no_int8"], [0])


def test_every_arm_takes_the_same_steps(teacher: Path, pictures: Path) -> None:
    recipe = recipe_for(teacher, pictures, "distill.steps=1200")
    for name in ARMS:
        taken = sum(trained_steps(own) for _, own in recipes_of(recipe, name, 0))
        assert taken == 1200, name


def test_arms_make_students_of_their_own(tmp_path: Path, teacher: Path, pictures: Path) -> None:
    """One of each kind, each at the budget where it has one; killed between, nothing is trained again."""
    search = ["search.images=2", "search.population=4", "search.generations=1"]
    recipe = recipe_for(
        teacher, pictures, *search, "budget.bytes=150000"
    )  # a supernet keeps every block
    entries = compare(recipe, tmp_path, RUN, [0])
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
    assert compare(recipe, tmp_path, RUN, [0]) == entries
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert [entry.method for entry in entries] == RUN
    assert len({entry.student for entry in entries}) == len(RUN)
    for entry in entries:
        assert entry.predicted_bytes <= 160_000, entry.method  # uniform widths come from above
    ledgers = [
        Run.open(tmp_path / "runs" / f"{name}_seed0").manifest["stages"]["teacher_cache"]
        for name in ("uniform", "cascade", "slimming")
    ]
    assert ledgers[0] == ledgers[1] == ledgers[2]  # the teacher ran once
    write_comparison(tmp_path, recipe, entries)
    stored = json.loads((tmp_path / "compare.json").read_text())
    ours = next(entry for entry in entries if entry.method == "slimming")
    assert stored["summary"]["slimming"]["psnr_db"]["mean"] == ours.psnr_db
    table = markdown(with_package(recipe, tmp_path), entries)
    assert table.count("\n| ") == len(RUN) + 1
    assert "CEC" in table
    assert table.count("one seed") == len(RUN) - 1
    assert plot(entries).count("<circle") == 2 + 2 * len(RUN)


def entry(method: str, seed: int, psnr: float, **more: Any) -> Entry:
    return Entry(method, seed, 1, 1, 1, psnr, 0.5, psnr, 0.5, 1.0, **more)


def test_verdicts_are_paired_by_seed() -> None:
    """Mean and 95 % interval of the differences; where it holds zero no difference is shown."""
    ours, theirs = [20.0, 21.0, 22.0], [19.9, 20.8, 21.9]
    entries = [entry("slimming", seed, value) for seed, value in enumerate(ours)]
    entries += [entry("cascade", seed, value) for seed, value in enumerate(theirs)]
    entries += [entry("uniform", seed, value) for seed, value in enumerate([20.5, 20.6, 22.1])]
    entries += [entry("norm_scores", seed, value) for seed, value in enumerate([19.9, 20.9, 21.89])]
    found = verdicts(entries)
    assert found["cascade"].mean == pytest.approx(-0.4 / 3)
    low, high = found["cascade"].interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(4.3027 * 0.0577350 / 3**0.5, rel=1e-4)
    assert not found["cascade"].shown
    assert found["norm_scores"].shown
    assert str(found["uniform"]).endswith("no difference shown")
    assert student_t(2) == 4.3027
    assert student_t(20) == pytest.approx(2.08596, abs=2e-3)


def test_wrong_names_are_answered(teacher: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'cascade'"):
        compare(recipe_for(teacher, pictures), tmp_path, ["cascad"], [0])
