"""GAN Compression end to end: searched under a budget, the same after any kill, the same on two processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import alone
from support.commands import edgegan

from edgegan.benchmarks.studies import uniform_students
from edgegan.compress.teacher.outputs import new_array
from edgegan.files import read_json, sha256_file
from edgegan.models.zoo import load_generator
from edgegan.run import Run

SETTINGS: dict[str, Any] = {
    "method": "gan-compression",
    "data.size": [32, 32],
    "data.crops": 6,
    "student.scale": 0.5,
    "distill.batch": 2,
    "distill.steps": 4,
    "distill.relation_weight": 0.1,
    "distill.checkpoint_seconds": 0.01,
    "supernet.pretrain_steps": 3,
    "supernet.steps": 4,
    "search.images": 2,
    "search.population": 4,
    "search.generations": 1,
    "search.check_networks": 2,
    "search.check_steps": 2,
    "search.finetune_steps": 3,
    "budget.macs": 3.2e6,
}


def overrides(teacher: Path, pictures: Path, **changes: Any) -> list[str]:
    """Settings of a run of a few seconds."""
    values = {"teacher": str(teacher), "data.train": str(pictures), **SETTINGS}
    return [f"{key}={json.dumps(value)}" for key, value in {**values, **changes}.items()]


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("search")
    settings = overrides(resnet_checkpoint, pictures)
    process = alone.start(alone.compress, settings, str(folder / "run"), output=folder / "log")
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()
    return folder / "run"


def test_every_stage_is_recorded(searched: Path) -> None:
    run = Run.open(searched)
    stages = ["import", "teacher_cache", "pretrain", "supernet", "search", "check", "student"]
    assert list(run.manifest["stages"]) == stages
    assert all(run.is_done(name, entry["inputs"]) for name, entry in run.manifest["stages"].items())
    found = run.figures("search")
    assert found["chosen_macs"] <= SETTINGS["budget.macs"]
    assert -1 <= run.figures("check")["spearman"] <= 1
    front = read_json(searched / "stages/search/front.json")
    assert front["chosen"]["fitness"] == max(entry["fitness"] for entry in front["front"])
    config, module = load_generator(searched / "student")
    assert sum(p.numel() for p in module.parameters()) == front["chosen"]["costs"]["params"]
    assert config.role == "student"
    logged = [json.loads(line) for line in (searched / "metrics.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in logged} >= {"pretrain", "supernet", "finetune"}


def test_ten_kills_change_nothing(
    searched: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    chance = random.Random(1)
    arguments = (overrides(resnet_checkpoint, pictures), str(tmp_path / "run"))
    for _ in range(10):
        process = alone.start(alone.compress, *arguments, output=tmp_path / "log")
        process.join(chance.uniform(0.05, 1.2))
        process.kill()
        process.join()
    process = alone.start(alone.compress, *arguments, output=tmp_path / "log")
    process.join()
    for name in ("student/model.safetensors", "stages/supernet/supernet.safetensors"):
        assert sha256_file(tmp_path / "run" / name) == sha256_file(searched / name), name


def test_unreachable_budget_is_refused_before_training(
    tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    settings = [f"--set={each}" for each in overrides(resnet_checkpoint, pictures)]
    run = tmp_path / "run"
    done = edgegan("compress", "resnet", *settings, "--budget-macs", "1k", "-o", run, check=False)
    assert done.returncode == 3
    assert "budget macs 1,000 cannot be reached: the narrowest sub-network costs" in done.stderr
    assert not (run / "stages/supernet/supernet.safetensors").exists()


def test_an_array_written_anew_leaves_the_one_it_was_linked_to(tmp_path: Path) -> None:
    new_array(tmp_path / "ours.npy", np.dtype(np.uint8), (3,))[:] = 7
    os.link(tmp_path / "ours.npy", tmp_path / "theirs.npy")
    new_array(tmp_path / "ours.npy", np.dtype(np.uint8), (3,))[:] = 1
    assert np.load(tmp_path / "theirs.npy").tolist() == [7, 7, 7]
    assert np.load(tmp_path / "ours.npy").tolist() == [1, 1, 1]


def test_a_uniform_student_of_no_search_is_refused(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["uniform", str(finished_run)])
    with pytest.raises(SystemExit, match="not a finished gan-compression run"):
        uniform_students.main()


def torchrun(count: int, folder: Path, settings: list[str]) -> None:
    """edgegan compress in `count` processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count), "-m", "edgegan", "compress", "resnet"]
    command += ["-o", str(folder), *(f"--set={each}" for each in settings)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_two_processes_are_one_with_twice_the_batch(
    tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    steps = {
        "method": "distill",
        "distill.steps": 20,
        "distill.log_every": 1,
        "budget.macs": None,
    }
    for count in (1, 2):
        batch = {"distill.batch": 2 // count, **steps}
        torchrun(count, tmp_path / str(count), overrides(resnet_checkpoint, pictures, **batch))
    curves = []
    for count in (1, 2):
        lines = (tmp_path / str(count) / "metrics.jsonl").read_text().splitlines()
        curves.append([e["loss"] for e in map(json.loads, lines) if "loss" in e])
    assert len(curves[0]) == 20
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)


def test_search_results_do_not_depend_on_processes(
    searched: Path, tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """Two processes search the weights that one trained."""
    import shutil

    shutil.copytree(searched, tmp_path / "run")
    manifest = read_json(tmp_path / "run/run.json")
    for name in ("search", "check", "student"):
        del manifest["stages"][name]
    (tmp_path / "run/run.json").write_text(json.dumps(manifest), "utf-8")
    (tmp_path / "run/stages/search/search.jsonl").unlink()
    torchrun(2, tmp_path / "run", overrides(resnet_checkpoint, pictures))
    front = read_json(tmp_path / "run/stages/search/front.json")
    assert front == read_json(searched / "stages/search/front.json")
