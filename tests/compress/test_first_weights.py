"""Students that start from their teacher's strongest channels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.commands import edgegan

from edgegan.channels.graph import trace_channels
from edgegan.channels.importance import strongest_channels
from edgegan.channels.slicing import extract
from edgegan.compress.first_weights import start_as_teacher
from edgegan.errors import ConfigError
from edgegan.models.blocks import initialise
from edgegan.models.packaging import store
from edgegan.models.resnet.network import ResnetSpec
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.spade.network import SpadeSpec
from edgegan.models.spec import Spec
from edgegan.models.unet.network import UnetSpec
from edgegan.models.zoo import build
from edgegan.recipe.loading import load_recipe
from edgegan.weights import load_tensors

X = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)


def teacher_of(spec: ResnetSpec, folder: Path) -> torch.nn.Module:
    """A teacher with random weights and biases, whose package is in a folder."""
    torch.manual_seed(0)
    module = build("resnet", spec)
    initialise(module)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.endswith("bias"):
                value.normal_()
    folder.mkdir()
    about = {"name": "teacher", "source": {"changes": []}, "licence": ""}
    store(folder, "resnet", spec, module, (32, 32), about, None)
    return module.eval()


def student_of(spec: ResnetSpec, teacher: Path) -> torch.nn.Module:
    """What a student starts as."""
    torch.manual_seed(1)
    student = build("resnet", spec)
    initialise(student)
    start_as_teacher(student, teacher, spec, X)
    return student.eval()


@pytest.mark.parametrize("block", ["dense", "separable"])
def test_at_full_width_it_is_the_teacher(tmp_path: Path, block: str) -> None:
    """Every weight of the teacher is there once; only the order of channels is another."""
    spec = ResnetSpec.from_ngf(8, 2, block=block)
    teacher = teacher_of(spec, tmp_path / "teacher")
    student = student_of(spec, tmp_path / "teacher")
    for name, value in teacher.state_dict().items():
        assert torch.equal(
            student.state_dict()[name].flatten().sort()[0], value.flatten().sort()[0]
        )
    with torch.inference_mode():
        assert (student(X) - teacher(X)).abs().max() < 1e-5


def test_at_half_width_it_has_the_strongest_channels(tmp_path: Path) -> None:
    """The rule of weight_transfer.py, written out: stem, down1, down2, the first block, the rest follows."""
    teacher = teacher_of(ResnetSpec.from_ngf(8, 2), tmp_path / "teacher")
    student = student_of(ResnetSpec.from_ngf(4, 2), tmp_path / "teacher")
    whole, half = teacher.state_dict(), student.state_dict()
    read: torch.Tensor | slice = slice(None)
    for name, width in (("stem", 4), ("down1", 8), ("down2", 16)):
        weight = whole[f"{name}.weight"][:, read]
        read = weight.abs().sum([1, 2, 3]).topk(width)[1]
        assert torch.equal(half[f"{name}.weight"], weight[read])
        assert torch.equal(half[f"{name}.bias"], whole[f"{name}.bias"][read])
    weight = whole["blocks.0.conv1.weight"][:, read]
    inner = weight.abs().sum([1, 2, 3]).topk(16)[1]
    assert torch.equal(half["blocks.0.conv1.weight"], weight[inner])
    assert torch.equal(
        half["blocks.0.conv2.weight"], whole["blocks.0.conv2.weight"][:, inner][read]
    )
    weight = whole["up1.weight"][read]
    up = weight.abs().sum([0, 2, 3]).topk(8)[1]
    assert torch.equal(half["up1.weight"], weight[:, up])
    assert torch.equal(half["head.bias"], whole["head.bias"])


@pytest.mark.parametrize(
    ("family", "spec", "shape"),
    [
        ("unet", UnetSpec.from_ngf(8, 5), (1, 3, 64, 64)),
        ("sngan", SnganSpec(latent=16, stem=16, inner=(16,) * 3, width=(16,) * 3), (1, 16)),
        ("spade", SpadeSpec.from_ngf(8, classes=4, block="separable"), (1, 5, 128, 128)),
    ],
)
def test_every_family_has_strongest_channels(
    family: str, spec: Spec, shape: tuple[int, ...]
) -> None:
    """All of them are the network in another order; half of them fill a network of half the widths."""
    torch.manual_seed(0)
    module = build(family, spec).eval()
    initialise(module)
    graph, x = trace_channels(module, torch.zeros(shape)), torch.randn(shape)
    widths = spec.plan(graph)
    same = extract(module, graph, strongest_channels(module, graph, widths)).eval()
    with torch.inference_mode():
        assert (same(x) - module(x)).abs().max() < 1e-4
    half = {name: width // 2 for name, width in widths.items()}
    narrow = extract(module, graph, strongest_channels(module, graph, half))
    build(family, spec.narrowed(graph, half)).load_state_dict(narrow.state_dict())


def test_norms_that_the_teacher_lacks_start_neutral(tmp_path: Path) -> None:
    spec = ResnetSpec.from_ngf(8, 2)
    teacher = teacher_of(spec, tmp_path / "teacher")
    affine = spec.model_copy(update={"norm": "instance_affine"})
    student = student_of(affine, tmp_path / "teacher")
    with torch.inference_mode():
        assert (student(X) - teacher(X)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ResnetSpec.from_ngf(4, 2, block="separable"), "do not share 'blocks.0.conv1"),
        (ResnetSpec.from_ngf(4, 2, norm="batch"), "do not share 'stem_norm"),
        (ResnetSpec.from_ngf(16, 2), "group 'stem' has 8 channels, 16 are wanted"),
    ],
)
def test_another_structure_is_refused(tmp_path: Path, spec: ResnetSpec, message: str) -> None:
    teacher_of(ResnetSpec.from_ngf(8, 2), tmp_path / "teacher")
    with pytest.raises(ConfigError, match=message):
        student_of(spec, tmp_path / "teacher")


def test_slimming_has_its_own_key() -> None:
    settings = ["method=gan-slimming", "budget.bytes=1000", "student.start=teacher"]
    with pytest.raises(ConfigError, match=r"set slim\.initial teacher"):
        load_recipe("resnet", settings)


def test_a_search_starts_from_it(tmp_path: Path, pictures: Path) -> None:
    """After one step of next to no length, the pre-distilled network is the teacher's slice."""
    spec = ResnetSpec.from_ngf(8, 2)
    teacher_of(spec, tmp_path / "teacher")
    settings = {
        "method": "gan-compression",
        "data.size": [32, 32],
        "data.crops": 2,
        "data.validation_images": 1,
        "student.scale": 0.5,
        "student.round_to": 1,
        "student.block": "dense",
        "student.norm": "instance",
        "student.start": "teacher",
        "distill.learning_rate": 1e-12,
        "supernet.pretrain_steps": 1,
        "supernet.sort": "none",
        "supernet.steps": 1,
        "supernet.round_to": 4,
        "search.images": 2,
        "search.population": 4,
        "search.generations": 1,
        "search.check_networks": 0,
        "search.finetune_steps": 0,
        "budget.macs": 1e9,
    }
    given = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    run = tmp_path / "run"
    where = ("--teacher", tmp_path / "teacher", "--data", pictures, "-o", run)
    edgegan("compress", "resnet", *given, *where)
    found = load_tensors(run / "stages/pretrain/pretrained.safetensors")
    expected = student_of(ResnetSpec.from_ngf(4, 2), tmp_path / "teacher").state_dict()
    for name, value in expected.items():
        assert torch.allclose(found[f"student/{name}"], value, atol=1e-9), name
