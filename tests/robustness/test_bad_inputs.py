"""More than 150 bad inputs: documented exit code, one paragraph naming the culprit, nothing touched or half written."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.bad_inputs import Bad, contents, make_workspace, message, run_command
from support.bad_packages import APPLY, ARTEFACTS, FLAGS, INSPECT, MODEL, ONNX, PACKAGES
from support.bad_recipes import COMPRESS, EVALUATE_LABELS, IMAGES, LABELS, RECIPES, RUN
from support.broken_checkpoints import CASES as CHECKPOINTS

DOCUMENTED = (2, 3, 4)


def checkpoint_case(name: str) -> Bad:
    write, words = CHECKPOINTS[name]

    suffix = ".safetensors" if "safetensors" in name else ".pth"
    return Bad(
        f"checkpoint: {name}",
        f"import bad{suffix} -o out",
        words,
        lambda folder: write(folder / "bad.pth"),
    )


CASES = [
    *RECIPES,
    *IMAGES,
    *LABELS,
    *PACKAGES,
    *ARTEFACTS,
    *FLAGS,
    *map(checkpoint_case, CHECKPOINTS),
]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path) -> Path:
    return make_workspace(tmp_path_factory.mktemp("valid"), resnet_checkpoint)


@pytest.fixture
def workspace(valid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the valid inputs, which a test spoils; commands run inside it."""
    folder = tmp_path / "work"
    shutil.copytree(valid, folder)
    monkeypatch.chdir(folder)
    return folder


def check_refused(folder: Path, command: str) -> tuple[int, str]:
    """Runs a command that must be refused cleanly; returns its exit code and message."""
    before = contents(folder)
    code, out, err = run_command(shlex.split(command))
    assert "Traceback" not in err + out, err
    assert code in DOCUMENTED, f"exit {code}: {err}"
    said = message(err)
    assert len(re.findall("^edgegan: ", err, re.M)) <= 1, err
    assert "\n\n" not in said and len(said) < 1500, said
    assert contents(folder) == before, "input changed or output left behind"
    return code, said


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_refused_with_one_clear_message(bad: Bad, workspace: Path) -> None:
    if bad.spoil is not None:
        bad.spoil(workspace)
    code, said = check_refused(workspace, bad.command)
    assert bad.code in (None, code), f"exit {code}: {said}"
    assert re.search(bad.words, said, re.S), said


def scramble(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, removed, repeated or cut off at a random place."""
    place = chance.randrange(len(data))
    length = chance.randrange(1, max(2, len(data) // 4))
    kind = chance.choice(("noise", "remove", "repeat", "cut"))
    if kind == "noise":
        return data[:place] + chance.randbytes(length) + data[place + length :]
    if kind == "remove":
        return data[:place] + data[place + length :]
    if kind == "repeat":
        return data[: place + length] + data[place:]
    return data[:place]


def retype(data: bytes, chance: random.Random) -> bytes:
    """A JSON or YAML file with one value somewhere inside replaced by one of another kind."""
    values = yaml.safe_load(data)
    parent, key, place = None, None, values
    while isinstance(place, (dict, list)) and place and (parent is None or chance.random() < 0.8):
        parent, key = (
            place,
            chance.choice(list(place) if isinstance(place, dict) else range(len(place))),
        )
        place = parent[key]
    parent[key] = chance.choice([None, "word", -1, 1e300, [], {}, [[1]], {"a": 1}, True])
    return json.dumps(values).encode()


# file, command, how its bytes are spoilt, how many cases
FUZZED = [
    ("recipe.yaml", COMPRESS + " --set distill.steps=2 --dry-run", scramble, 5),
    ("recipe.yaml", COMPRESS + " --dry-run", retype, 5),
    ("package/config.json", INSPECT, scramble, 4),
    ("package/config.json", INSPECT, retype, 5),
    ("package/model.safetensors", RUN, scramble, 3),
    ("net_G.pth", "import net_G.pth -o out", scramble, 4),
    ("pictures/picture0.png", "run package pictures/picture0.png -o out", scramble, 5),
    ("labels/0.png", EVALUATE_LABELS, scramble, 3),
    (MODEL, APPLY, scramble, 3),
    (MODEL, APPLY, retype, 4),
    (ONNX, APPLY, scramble, 3),
    ("run/run.json", "report run", scramble, 2),
    ("run/run.json", "report run", retype, 3),
    ("run/export/export.json", "bench run --seconds 0.1", scramble, 2),
    ("run/export/export.json", "bench run --seconds 0.1", retype, 3),
]
FUZZ = [
    pytest.param(name, command, spoil, seed, id=f"{name}-{spoil.__name__}-{seed}")
    for name, command, spoil, count in FUZZED
    for seed in range(count)
]


@pytest.mark.parametrize(("name", "command", "spoil", "seed"), FUZZ)
def test_fuzzed_files_are_refused(
    name: str,
    command: str,
    spoil: Callable[[bytes, random.Random], bytes],
    seed: int,
    workspace: Path,
) -> None:
    """Mutations of a valid file until one is refused; the harmless ones before it must run to the end."""
    good = (workspace / name).read_bytes()
    chance = random.Random(f"{name}:{spoil.__name__}:{seed}")
    for _ in range(12):
        (workspace / name).write_bytes(spoil(good, chance))
        before = contents(workspace)
        code, out, err = run_command(shlex.split(command))
        assert "Traceback" not in err + out, err
        if code != 0:
            assert code in DOCUMENTED, f"exit {code}: {err}"
            assert contents(workspace) == before
            assert len(message(err)) < 1500
            return
        for made in ("out", "run/bench", "run/report.html"):
            if (workspace / made).is_dir():
                shutil.rmtree(workspace / made)
    pytest.fail("no mutation was refused")


def test_there_are_150() -> None:
    assert len(CASES) + len(FUZZ) >= 150 and len(FUZZ) >= 30
    assert len({bad.name for bad in CASES}) == len(CASES)


@pytest.mark.usefixtures("workspace")
def test_the_valid_inputs_are_valid() -> None:
    """Every case differs from these in one thing."""
    for command in (
        COMPRESS + " --dry-run",
        RUN,
        INSPECT,
        EVALUATE_LABELS,
        APPLY.replace("-o out", "-o o2"),
    ):
        code, _, err = run_command(shlex.split(command))
        assert code == 0, err
