"""A few of the faults of support/fuzz_faults.py and of the places of support/fuzz_outputs.py; `make fuzz-faults` and
`make fuzz-outputs` try all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.commands import edgegan, made_once
from support.fuzz_faults import SUBJECTS, Trial, World, import_to, trials
from support.fuzz_outputs import CALLS, attempt

# How many are drawn of each command's; those that take long get fewer.
TRIED = {"import": 3, "import --overwrite": 3, "bundle": 2}
PLACES_TRIED = 8


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    resnet_checkpoint: Path,
    pictures: Path,
    finished_run: Path,
) -> World:
    """What the commands are given; nobody writes into it but the records of one bench."""
    folder = made_once(
        tmp_path_factory,
        "package of faults",
        lambda at: edgegan(*import_to(World(resnet_checkpoint, pictures, at, at), at)),
    )
    return World(resnet_checkpoint, pictures, folder, finished_run)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_failing_call_leaves_the_old_or_the_new(
    world: World, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(trials(Trial(name, world, tmp_path), TRIED.get(name, 2), seed=1))
    wrong = [f"{what}: {problem}" for what, problem in found if problem]
    with capsys.disabled():
        print(f" {name}: {len(found)} faults")
    assert found and not wrong, "\n".join(wrong)


def test_nothing_of_the_users_is_lost(world: World, tmp_path: Path) -> None:
    """A draw of the calls; those that work for seconds are left to `make fuzz-outputs`."""
    slow = ("unfinished", "dangling", "inside a run", "crafted")
    quick = [call for call in CALLS if call[1] not in slow and call[0] != "export it"]
    chosen = random.Random(1).sample(quick, PLACES_TRIED)
    wrong = [
        f"{command}, {place}: {problem}"
        for command, place in chosen
        if (problem := attempt(world, tmp_path, command, place))
    ]
    assert not wrong, "\n".join(wrong)
