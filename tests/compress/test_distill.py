"""Distillation: it learns, it resumes exactly after kill -9, it stops on NaN, it inherits a discriminator."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import torch
from support.alone import start_command
from support.commands import compress_arguments, edgegan
from support.training import small_training

from edgegan.compress.teacher.cache import Cache, sample
from edgegan.compress.teacher.examples import open_examples
from edgegan.compress.teacher.live import Live
from edgegan.errors import TrainingError
from edgegan.files import sha256_file
from edgegan.models.recording import hooked
from edgegan.models.zoo import load_generator
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.loading import load_recipe
from edgegan.run import Run
from edgegan.training.loop import check_finite, keep_metrics
from edgegan.training.losses import FeatureMaps, gradient_l1
from edgegan.training.schedule import schedule_of


def test_gradient_loss_by_hand() -> None:
    a = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]])
    b = torch.zeros(1, 1, 2, 2)
    assert float(gradient_l1(a, b)) == pytest.approx((1 + 2) / 2 + (2 + 3) / 2)
    assert float(gradient_l1(a + 5, a)) == 0


def test_feature_loss_is_relative() -> None:
    maps = FeatureMaps([2], [3], [4.0], pool=2)
    torch.nn.init.zeros_(maps.maps[0].weight)
    torch.nn.init.zeros_(maps.maps[0].bias)
    loss = maps([torch.ones(1, 2, 4, 4)], [torch.full((1, 3, 2, 2), 2.0)])
    assert float(loss.detach()) == pytest.approx(1.0)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    schedule = schedule_of(Distill(steps=100, warmup=10, learning_rate=1.0))
    assert schedule.rate(0) == pytest.approx(0.1)
    assert schedule.rate(10) == pytest.approx(1.0)
    assert schedule.rate(99) == pytest.approx(1 / 90)


def test_nan_names_step_and_term(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="step 7: the term 'feature' is nan"):
        check_finite({"l1": 1.0, "feature": float("nan")}, 7, small_training(tmp_path))


def test_metrics_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"stage": stage, "step": n}) for stage in ("a", "b") for n in (1, 2, 3)]
    path.write_text("\n".join([*lines, '{"sta']), encoding="utf-8")
    keep_metrics(path, "b", 2)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in kept] == [
        *(("a", step) for step in (1, 2, 3)),
        ("b", 1),
        ("b", 2),
    ]


def test_student_learns_and_is_recorded(finished_run: Path) -> None:
    run = Run.open(finished_run)
    entries = [
        json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()
    ]
    assert [entry["step"] for entry in entries if "loss" in entry] == [50, 60]
    assert run.student_figures()["validation_images"] == 1
    assert all(run.is_done(name, entry["inputs"]) for name, entry in run.manifest["stages"].items())


def test_batches_depend_on_seed_and_step_alone(finished_run: Path, tmp_path: Path) -> None:
    cache = Cache(finished_run / "stages" / "teacher_cache")
    settings, training = Distill(batch=3), small_training(tmp_path)
    plain = small_training(tmp_path, flip=False)
    first = sample(cache, settings, training, 5)
    again = sample(cache, settings, training, 5)
    other = sample(cache, settings, training, 6)
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.teacher, again.teacher)
    assert not torch.equal(first.x, other.x)
    epoch = torch.cat([sample(cache, Distill(batch=1), plain, step).x for step in range(8)])
    assert len({tuple(x.flatten().tolist()) for x in epoch}) == len(cache.inputs)


def test_same_command_again_does_nothing(
    finished_run: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    before = sha256_file(finished_run / "student" / "model.safetensors")
    done = edgegan(*compress_arguments(resnet_checkpoint, pictures, finished_run))
    assert "up to date" in done.stderr
    assert sha256_file(finished_run / "student" / "model.safetensors") == before


def test_resume_after_kill_is_exact(
    tmp_path: Path, finished_run: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """kill -9 at random moments, three times, then to the end: the weights of the uninterrupted run."""
    arguments = compress_arguments(
        resnet_checkpoint, pictures, tmp_path / "run", "distill.checkpoint_seconds=0.01"
    )
    chance = random.Random(4)
    for _ in range(3):
        log = tmp_path / "log"
        process = start_command(arguments, log)
        deadline = time.monotonic() + 60
        while (
            process.exitcode is None
            and time.monotonic() < deadline
            and "crops of" not in log.read_text()
        ):
            time.sleep(0.02)
        time.sleep(chance.uniform(0.2, 2.5))
        process.kill()
        process.join()
    edgegan(*arguments)
    expected = sha256_file(finished_run / "student" / "model.safetensors")
    assert sha256_file(tmp_path / "run" / "student" / "model.safetensors") == expected


def test_inherited_discriminator(tmp_path: Path, resnet_checkpoint: Path, pictures: Path) -> None:
    from edgegan.models.discriminator import PatchDiscriminator, PatchSpec

    judge = tmp_path / "latest_net_D.pth"
    torch.save(PatchDiscriminator(PatchSpec(ndf=8, layers=2)).state_dict(), judge)
    run = tmp_path / "run"
    settings = ["distill.gan_weight=0.1", "distill.steps=50", f"discriminator={judge}"]
    edgegan(*compress_arguments(resnet_checkpoint, pictures, run, *settings))
    last = [
        json.loads(line)
        for line in (run / "metrics.jsonl").read_text().splitlines()
        if "gan" in line
    ][-1]
    assert last["gan"] > 0
    assert last["discriminator"] > 0


def test_gan_weight_without_discriminator_is_refused(
    tmp_path: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    done = edgegan(
        *compress_arguments(
            resnet_checkpoint, pictures, tmp_path / "run", "distill.gan_weight=0.1"
        ),
        check=False,
    )
    assert done.returncode == 2
    assert "keeps no discriminator" in done.stderr


def test_teacher_in_the_loop(tmp_path: Path, resnet_checkpoint: Path, pictures: Path) -> None:
    """Fresh crops with the teacher's own output and features; two runs are alike, and unlike the cached one."""
    more = ["distill.teacher=loop", "distill.steps=6", "data.crops=2"]
    digests = []
    for name, settings in (("a", more), ("b", more), ("cached", more[1:])):
        edgegan(*compress_arguments(resnet_checkpoint, pictures, tmp_path / name, *settings))
        digests.append(sha256_file(tmp_path / name / "student" / "model.safetensors"))
    assert digests[0] == digests[1] != digests[2]

    recipe = load_recipe(str(tmp_path / "a" / "recipe.yaml"), [])
    teacher = tmp_path / "a" / "teacher"
    live = Live(
        teacher, open_examples(recipe, 0, None), ["blocks.0"], 2, torch.device("cpu"), reals=False
    )
    first, again = (live.draw([0, 1, 2], True, 5) for _ in range(2))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, live.draw([3, 4, 5], True, 5).x)
    output, features = live.teach(first.x)
    module = load_generator(teacher)[1]
    with hooked(module, ["blocks.0"]) as recorded, torch.no_grad():
        assert torch.equal(module(first.x), output)
        pooled = torch.nn.functional.avg_pool2d(recorded["blocks.0"], 2)
    assert torch.equal(features[0], pooled)
