"""Shared fixtures: a tiny teacher, a tiny finished run, and the path of real data where there is any."""

from __future__ import annotations

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: threads of their own would fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from support.alone import stop_server
from support.commands import ROOT, compress_arguments, edgegan, made_once, make_pictures
from support.resizing import make_resizing_runs

LONGEST_FIRST = [  # a long file begun last would keep one core busy alone
    "test_faults.py",
    "test_fuzz.py",
    "test_fault_injection.py",
    "test_export.py",
    "test_random_nets.py",
    "test_readme.py",
    "test_android_parity.py",
    "test_export_kinds.py",
    "test_slim_deployed.py",
    "test_custom.py",
    "test_speed.py",
    "test_gan_compression.py",
    "test_distill.py",
    "test_slim.py",
    "test_arm64.py",
    "test_devices_adb.py",
    "test_devices_ssh.py",
    "test_hostile_networks.py",
    "test_streams.py",
    "test_entry_points.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take files in this order (xdist's --no-loadscope-reorder); all others follow as they were found."""
    place = {name: index for index, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_sessionfinish() -> None:
    """The server of commands ends with the tests."""
    stop_server()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real weights and images: $EDGEGAN_DATA, or shared/data beside the project; skipped when absent."""
    folder = Path(os.environ.get("EDGEGAN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "weights").is_dir():
        pytest.skip(f"no real data in {folder}; set EDGEGAN_DATA")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten small pictures."""
    return made_once(tmp_path_factory, "pictures", lambda folder: make_pictures(folder, 10))


@pytest.fixture(scope="session")
def resnet_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ResNet generator with random weights in the public key layout, no dropout entry."""
    import torch

    from edgegan.models.resnet.keymap import namer
    from edgegan.models.resnet.network import ResnetGenerator, ResnetSpec

    torch.manual_seed(0)
    module = ResnetGenerator(ResnetSpec.from_ngf(16, 3))
    to_public = namer(blocks=3, second=5)
    state = {to_public(key): value for key, value in module.state_dict().items()}

    def save(folder: Path) -> None:
        folder.mkdir()
        torch.save(state, folder / "latest_net_G.pth")

    return made_once(tmp_path_factory, "checkpoint", save) / "latest_net_G.pth"


@pytest.fixture(scope="session")
def cartoon_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow CartoonGAN with random weights in the upstream key layout."""
    import torch

    from edgegan.models.cartoon.keymap import to_public
    from edgegan.models.cartoon.network import CartoonGenerator, CartoonSpec

    torch.manual_seed(0)
    spec = CartoonSpec(
        stem=8, down1=(16, 16), down2=(16, 16), inner=(16,) * 8, up1=(16, 16), up2=(8, 8)
    )
    state = {to_public(key): value for key, value in CartoonGenerator(spec).state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "teacher.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """A compressed, exported and benched run of an InstanceNorm student. Tests only read it."""

    def run_all(folder: Path) -> None:
        edgegan(*compress_arguments(resnet_checkpoint, pictures, folder))
        edgegan("export", folder)
        edgegan("bench", folder, "--seconds", "0.2")

    return made_once(tmp_path_factory, "tiny", run_all)


@pytest.fixture(scope="session")
def resizing_runs(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A folder with exported runs of generators that enlarge and reduce pictures. Tests only read it."""
    return made_once(
        tmp_path_factory, "resizing", lambda folder: make_resizing_runs(folder, pictures)
    )
