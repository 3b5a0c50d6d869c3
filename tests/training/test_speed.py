"""bfloat16 and compiled steps: the same training within rounding, weights in float32, resumed exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgegan.compress import distill
from edgegan.compress.pipeline import compress
from edgegan.compress.slimming.slim import span
from edgegan.files import sha256_file
from edgegan.models.packaging import import_to_package
from edgegan.models.recording import hooked
from edgegan.models.zoo import build, parse_spec
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.loading import load_recipe
from edgegan.training import speed
from edgegan.training.speed import Speed, choose_speed, has_bf16

CPU = torch.device("cpu")
SMALL = {"stem": 8, "down": 16, "trunk": 16, "inner": [16], "up": [16, 8], "norm": "instance"}


def generator() -> nn.Module:
    torch.manual_seed(0)
    return build("resnet", parse_spec("resnet", SMALL))


class TwoConvolutions(nn.Module):
    """Few kernels to compile; the run with compiled steps below compiles a whole generator."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1)])
        self.head = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(torch.relu(self.blocks[0](x))))


def two_convolutions() -> nn.Module:
    torch.manual_seed(0)
    return TwoConvolutions()


def gradients(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    output = module(x)
    assert output.dtype == torch.float32
    (output - 0.5).square().mean().backward()
    return {
        name: each.grad.clone() for name, each in module.named_parameters() if each.grad is not None
    }


@pytest.mark.parametrize(
    ("kind", "tolerance", "make"),
    [
        (Speed(CPU, bf16=True), 0.25, generator),
        (Speed(CPU, compiled=True), 1e-3, two_convolutions),
    ],
    ids=["bf16", "compiled"],
)
def test_training_mode_is_the_same_within_rounding(
    kind: Speed, tolerance: float, make: Callable[[], nn.Module]
) -> None:
    if kind.compiled and shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    module = make().train()
    x = torch.randn(2, 3, 32, 32).clamp(-1, 1)
    with hooked(module, ["blocks.0"]) as recorded:
        plain = gradients(module, x)
        plain_tap = recorded["blocks.0"].detach().clone()
        with kind.attached(module):
            fast = gradients(module, x)
            tap = recorded["blocks.0"].detach().float()
            # In evaluation mode every bit is as it was.
            with torch.no_grad():
                evaluated = module.eval()(x)
                module.train()
        assert "forward" not in vars(module)
    assert torch.equal(evaluated, make().eval()(x))
    assert plain.keys() == fast.keys()
    distance = torch.linalg.vector_norm
    assert distance(tap - plain_tap) < tolerance * distance(plain_tap)
    for name, value in plain.items():
        if distance(value) > 1e-4:  # biases before a norm have no gradient but rounding
            assert distance(fast[name] - value) < tolerance * distance(value), name
    assert not all(torch.equal(fast[name], value) for name, value in plain.items())
    assert all(each.dtype == torch.float32 for each in module.parameters())


def test_nested_outputs_come_in_float32() -> None:
    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
            y = self.conv(x)
            return [(y, y * 2)]

    module = Scales()
    with Speed(CPU, bf16=True).attached(module):
        found = module(torch.zeros(1, 3, 8, 8))
    assert [each.dtype for pair in found for each in pair] == [torch.float32] * 2


def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for native in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda n=native: {"avx512_bf16": n})
        assert has_bf16(CPU) is native
        assert choose_speed(Distill(precision="auto"), CPU).bf16 is native
        assert choose_speed(Distill(precision="bf16"), CPU).bf16
        assert not choose_speed(Distill(), CPU).bf16


def test_without_a_compiler_steps_are_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed.shutil, "which", lambda _: None)
    assert not choose_speed(Distill(compile=True), CPU).compiled
    assert "no C++ compiler was found" in capsys.readouterr().err


def test_spans_of_slimming_by_hand() -> None:
    assert [span(step, 100, [10, 20, 60]) for step in (0, 9, 10, 20, 59, 60, 99)] == [
        10, 10, 10, 40, 40, 40, 40
    ]  # fmt: skip
    assert span(5, 30, [-1]) == 30


@pytest.mark.parametrize("method", ["distill", "gan-slimming", "gan-compression"])
def test_fast_run_resumes_exactly(
    method: str,
    tmp_path: Path,
    resnet_checkpoint: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle, then to the end: the weights of the uninterrupted run, and not those of a slow one."""
    teacher = tmp_path / "teacher"
    import_to_package(resnet_checkpoint, teacher, size=(32, 32))
    settings = ["data.size=[32,32]", "data.crops=8", "distill.steps=8", "data.validation_images=1"]
    settings += [f"teacher={json.dumps(str(teacher))}", f"data.train={json.dumps(str(pictures))}"]
    settings += [f"method={method}", "distill.checkpoint_seconds=0.000001"]
    if method == "gan-slimming":
        settings += ["budget.bytes=110000", "slim.prune_times=1"]
        monkeypatch.setattr("edgegan.compress.slimming.slim.WORTH_COMPILING", 2)
    if method == "gan-compression":
        settings += ["supernet.steps=4", "search.population=4", "search.generations=1"]
        settings += ["search.check_networks=0", "search.images=2", "search.finetune_steps=2"]
        settings += ["budget.macs=8000000"]
    compiled = str(method == "distill" and shutil.which("c++") is not None).lower()
    fast = [*settings, "distill.precision=bf16", f"distill.compile={compiled}"]
    slow = compress(load_recipe("resnet", settings), tmp_path / "slow")
    whole = compress(load_recipe("resnet", fast), tmp_path / "whole")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    from edgegan.compress.search import supernet
    from edgegan.compress.slimming import slim

    place: Any = {
        "distill": (distill, "train_step"),
        "gan-slimming": (slim, "budget_step"),
        "gan-compression": (supernet, "supernet_step"),
    }[method]
    step = getattr(*place)
    taken = 0

    def counted(*values: Any) -> Any:
        nonlocal taken
        taken += 1
        return stop() if taken == 4 else step(*values)

    monkeypatch.setattr(*place, counted)
    with pytest.raises(KeyboardInterrupt):
        compress(load_recipe("resnet", fast), tmp_path / "parts")
    monkeypatch.setattr(*place, step)
    parts = compress(load_recipe("resnet", fast), tmp_path / "parts")
    digests = [
        sha256_file(run.folder / "student" / "model.safetensors") for run in (slow, whole, parts)
    ]
    assert digests[1] == digests[2] != digests[0]
