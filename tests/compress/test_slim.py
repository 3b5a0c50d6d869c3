"""Slimming from end to end: budgets met, kills resumed exactly, NaN named, the published form, noise, comparison."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.alone import start_command
from support.commands import compress_arguments, edgegan

from edgegan.artefact import read_model
from edgegan.compress.job import values_of
from edgegan.compress.pipeline import compress
from edgegan.compress.slimming.gan_slimming import LATER_SLIM, finetune_settings
from edgegan.compress.slimming.slim import cut_steps, int8_step
from edgegan.errors import BudgetError, ConfigError, TrainingError
from edgegan.export.exporter import export
from edgegan.export.request import ExportOptions
from edgegan.files import sha256_file
from edgegan.models.packaging import import_to_package, store
from edgegan.models.sngan.network import SnganSpec
from edgegan.models.zoo import build, load_generator
from edgegan.package import read_config
from edgegan.recipe.loading import load_recipe
from edgegan.recipe.schema import Recipe
from edgegan.recipe.slim_section import Slim
from edgegan.run import Run

BUDGET = 106_000
STEPS = 40
SLIM = ["method=gan-slimming", f"budget.bytes={BUDGET}", "slim.prune_times=3"]
SLIM += [f"distill.steps={STEPS}"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("slim") / "teacher"
    import_to_package(resnet_checkpoint, folder, size=(32, 32))
    return folder


def recipe_for(teacher: Path, pictures: Path | None, *more: str) -> Recipe:
    settings = ["data.size=[32,32]", "data.crops=8", "distill.batch=2", *SLIM]
    settings += [f"teacher={json.dumps(str(teacher))}", "data.validation_images=1", *more]
    if pictures is not None:
        settings.append(f"data.train={json.dumps(str(pictures))}")
    return load_recipe("resnet", settings)


@pytest.fixture(scope="module")
def slimmed(
    tmp_path_factory: pytest.TempPathFactory, resnet_checkpoint: Path, pictures: Path
) -> Path:
    """A finished run of the budget form, made by the command line. Tests only read it."""
    run = tmp_path_factory.mktemp("runs") / "slimmed"
    edgegan(*compress_arguments(resnet_checkpoint, pictures, run, *SLIM))
    return run


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_budget_is_met_and_the_curve_is_kept(slimmed: Path) -> None:
    figures = Run.open(slimmed).student_figures()
    assert 0.97 * BUDGET <= figures["budget"]["met_at"] <= BUDGET
    cuts = [entry for entry in lines(slimmed) if "widths" in entry]
    assert [entry["step"] for entry in cuts] == [
        step + 1 for step in sorted(cut_steps(STEPS, Slim(prune_times=3)))
    ]
    assert {entry["stage"] for entry in cuts} == {"slim"}
    costs = [entry["cost"] for entry in cuts]
    assert costs == sorted(costs, reverse=True)
    assert all(entry["cost"] <= entry["allowed"] for entry in cuts)
    config, module = load_generator(slimmed / "student")
    assert config.role == "student"
    for name, width in cuts[-1]["widths"].items():
        assert width % 8 == 0, name
    assert figures["int8_psnr_to_teacher_db"] > figures["psnr_to_teacher_db"] - 1
    assert sum(p.numel() for p in module.parameters()) == config.parameters


def test_resume_after_kill_is_exact(
    tmp_path: Path, slimmed: Path, resnet_checkpoint: Path, pictures: Path
) -> None:
    """kill -9 at two random moments, then to the end: the weights of the uninterrupted run."""
    settings = [*SLIM, "distill.checkpoint_seconds=0.01"]
    arguments = compress_arguments(resnet_checkpoint, pictures, tmp_path / "run", *settings)
    checkpoint = tmp_path / "run" / "stages" / "student" / "checkpoint.pt"
    chance = random.Random(3)
    for _ in range(2):
        before = checkpoint.stat().st_mtime if checkpoint.is_file() else 0.0
        process = start_command(arguments, tmp_path / "log")
        deadline = time.monotonic() + 60
        while process.exitcode is None and time.monotonic() < deadline:
            if checkpoint.is_file() and checkpoint.stat().st_mtime > before:
                break
            time.sleep(0.01)
        time.sleep(chance.uniform(0.1, 0.8))
        process.kill()
        process.join()
    edgegan(*arguments)
    expected = sha256_file(slimmed / "student" / "model.safetensors")
    assert sha256_file(tmp_path / "run" / "student" / "model.safetensors") == expected
    assert [entry["widths"] for entry in lines(tmp_path / "run") if "widths" in entry] == [
        entry["widths"] for entry in lines(slimmed) if "widths" in entry
    ]


def test_resume_in_every_phase_is_exact(
    tmp_path: Path, teacher: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the first cut, between cuts and in int8 (gates included)."""
    settings = ["slim.importance=norm", "student.norm=instance", "distill.steps=30"]
    recipe = recipe_for(teacher, pictures, *settings, "distill.checkpoint_seconds=0.000001")
    whole = compress(recipe, tmp_path / "whole")
    from edgegan.compress.slimming import slim

    original = slim.budget_step
    for stop in (1, 7, 25):

        def interrupted(*values: Any, stop: int = stop) -> Any:
            if values[4] == stop:
                raise KeyboardInterrupt
            return original(*values)

        monkeypatch.setattr(slim, "budget_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compress(recipe, tmp_path / "parts")
    monkeypatch.setattr(slim, "budget_step", original)
    parts = compress(recipe, tmp_path / "parts")
    hashes = {sha256_file(r.folder / "student" / "model.safetensors") for r in (whole, parts)}
    assert len(hashes) == 1


def test_nan_names_step_term_and_checkpoint(
    tmp_path: Path, teacher: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgegan.training import terms

    recipe = recipe_for(teacher, pictures, "distill.checkpoint_seconds=0.000001")
    calls = iter(range(1000))
    sane = terms.gradient_l1

    def broken(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return sane(a, b) * (math.nan if next(calls) == 3 else 1.0)

    monkeypatch.setattr(terms, "gradient_l1", broken)
    with pytest.raises(TrainingError, match=r"step 4: the term 'gradient' is nan.*checkpoint\.pt"):
        compress(recipe, tmp_path / "run")
    checkpoint = tmp_path / "run" / "stages" / "student" / "checkpoint.pt"
    assert torch.load(checkpoint, weights_only=True)["step"] == 3


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_published_form(tmp_path: Path, teacher: Path, pictures: Path, quantize: str) -> None:
    """Scales fall by SGD and the soft threshold, dead channels go, their constants fold, fine-tuning is measured."""
    more = ["slim.form=paper", "slim.rho=1.5", f"slim.quantize={quantize}", "slim.finetune_steps=4"]
    more += ["budget.bytes=null", "slim.start=0", "student.scale=0.5", "distill.steps=30"]
    run = compress(recipe_for(teacher, pictures, *more, "slim.beta=0.05"), tmp_path / "run")
    figures = run.student_figures()
    assert {"psnr_trained_db", "psnr_extracted_db", "psnr_before_finetune_db"} <= set(figures)
    assert "budget" not in figures and figures["folds"]
    last = [entry for entry in lines(run.folder) if "scales_l1" in entry][-1]
    assert last["discriminator"] > 0 and last["scales_l1"] >= 0
    widths = figures["widths"]
    assert sum(widths.values()) < 8 + 16 + 32 + 3 * 32 + 16 + 8
    assert all(width % 8 == 0 for width in widths.values())


def test_fine_tuning_as_the_recipe_says(tmp_path: Path, teacher: Path, pictures: Path) -> None:
    """Rate and discriminator change the student; published: ten times the rates, by the objective of slimming."""
    small = ["slim.form=paper", "slim.finetune_steps=3", "distill.steps=4", "distill.log_every=1"]
    small += ["budget.bytes=null", "slim.start=0", "student.scale=0.5", "distill.warmup=0"]
    small += ["distill.learning_rate=1e-4", "distill.discriminator_decay=true"]
    digests = []
    for name, more in {
        "usual": [],
        "faster": ["slim.finetune_rate=10"],
        "both": ["slim.finetune_rate=10", "slim.finetune_discriminator=true"],
    }.items():
        run = compress(recipe_for(teacher, pictures, *small, *more), tmp_path / name)
        tuned = [entry for entry in lines(run.folder) if entry["stage"] == "finetune"]
        rates = [entry["learning_rate"] for entry in tuned if "l1" in entry]
        rate = 1e-3 if more else 1e-5
        assert rates == pytest.approx([rate, rate * 2 / 3, rate / 3])
        assert ("discriminator" in tuned[0]) == ("gan" in tuned[0]) == (name == "both")
        digests.append(sha256_file(run.folder / "student" / "model.safetensors"))
    assert len(set(digests)) == 3
    first = next(entry for entry in tuned if "l1" in entry)
    terms = 20 * sum(first[name] for name in ("l1", "gradient")) + first["gan"]
    assert first["loss"] == pytest.approx(terms, rel=1e-5)


def test_fine_tuning_goes_on_with_the_discriminator_and_its_rates(
    teacher: Path, pictures: Path
) -> None:
    more = ["slim.form=paper", "slim.finetune_steps=3", "slim.finetune_rate=10"]
    more += ["slim.finetune_discriminator=true", "budget.bytes=null", "slim.beta=2"]
    recipe = recipe_for(teacher, pictures, *more, "distill.discriminator_learning_rate=1e-5")
    settings = finetune_settings(recipe)
    assert settings.discriminator_learning_rate == pytest.approx(1e-4)
    assert settings.learning_rate == pytest.approx(10 * recipe.distill.learning_rate)
    assert settings.terms["l1"] == 2 * recipe.distill.l1_weight
    assert settings.terms["gan"] == recipe.slim.gan_weight
    assert not set(LATER_SLIM) & set(values_of(Slim(), LATER_SLIM))
    for wrong in ("slim.gan_weight=0", "slim.finetune_steps=0"):
        with pytest.raises(ConfigError, match=r"needs slim\.gan_weight and slim\.finetune_steps"):
            recipe_for(teacher, pictures, *more, wrong)
    with pytest.raises(ConfigError, match=r"needs distill\.gan_weight and"):
        recipe_for(teacher, pictures, "slim.finetune_steps=1", "slim.finetune_discriminator=true")


def test_fine_tuning_with_its_discriminator_is_resumed_exactly(
    tmp_path: Path, teacher: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["slim.form=paper", "slim.finetune_steps=3", "slim.finetune_discriminator=true"]
    more += ["budget.bytes=null", "slim.start=0", "student.scale=0.5", "distill.steps=4"]
    recipe = recipe_for(teacher, pictures, *more, "distill.checkpoint_seconds=0.000001")
    whole = compress(recipe, tmp_path / "whole")
    from edgegan.compress import distill

    original, calls = distill.train_step, iter(range(10))

    def interrupted(*values: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return original(*values)

    monkeypatch.setattr(distill, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compress(recipe, tmp_path / "parts")
    monkeypatch.setattr(distill, "train_step", original)
    parts = compress(recipe, tmp_path / "parts")
    hashes = {sha256_file(r.folder / "student" / "model.safetensors") for r in (whole, parts)}
    assert len(hashes) == 1


def test_slimming_of_a_generator_from_noise(tmp_path: Path) -> None:
    """SNGAN: equal noise, BatchNorm scales, static int8."""
    torch.manual_seed(0)
    spec = SnganSpec(latent=16, stem=32, width=(32, 32), inner=(32, 32), bottom=4)
    module = build("sngan", spec).eval()
    (tmp_path / "teacher").mkdir()
    about = {"name": "noise", "source": {"changes": []}, "licence": "none"}
    store(tmp_path / "teacher", "sngan", spec, module, (16, 16), about, None)
    aim = ["budget.bytes=null", "budget.macs=1.5e6", "slim.start=0", "student.scale=1"]
    more = [
        "data.kind=noise",
        "data.size=[16,16]",
        "student.block=dense",
        "student.norm=batch",
        "data.crops=24",
        *aim,
    ]
    recipe = recipe_for(tmp_path / "teacher", None, *more, "data.validation_images=8")
    run = compress(recipe, tmp_path / "run")
    figures = run.student_figures()
    assert 0.97 * 1.5e6 <= figures["budget"]["met_at"] <= 1.5e6
    config, student = load_generator(run.folder / "student")
    assert config.input.kind == "noise"
    assert student(torch.randn(2, 16)).shape == (2, 3, 16, 16)
    noise = np.load(run.folder / "stages" / "teacher_cache" / "train_input.npy")
    outputs = np.load(run.folder / "stages" / "teacher_cache" / "train_output.npy")
    assert np.allclose(module(torch.from_numpy(noise[:2])).detach(), outputs[:2], atol=1e-3)
    folder = export(run.folder, None, ["tflite"], ["fp32", "int8"], ExportOptions(which="student"))
    model = read_model(folder / "student_fp32.tflite")
    assert model.psnr_to_teacher_db == pytest.approx(figures["psnr_to_teacher_db"], abs=0.01)
    assert read_model(folder / "student_int8.tflite").bytes == pytest.approx(
        figures["predicted_bytes"], rel=0.03
    )


def test_wrong_recipes_are_named(teacher: Path, pictures: Path) -> None:
    with pytest.raises(ConfigError, match="takes one budget: set macs or bytes"):
        recipe_for(teacher, pictures, "budget.macs=1e9")
    with pytest.raises(ConfigError, match="needs a budget"):
        recipe_for(teacher, pictures, "budget.bytes=null")
    with pytest.raises(ConfigError, match="quantize_from must not be below"):
        recipe_for(teacher, pictures, "slim.quantize_from=0.1")


def test_budget_of_milliseconds(
    tmp_path: Path, teacher: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the tables of a device: every width costs, the budget is met, blocks stay."""

    class Linear:
        def layers_from(self, genome: tuple[int, ...]) -> tuple[int, ...]:
            return genome

        def predict(self, layers: tuple[int, ...]) -> float:
            return 0.5 + sum(layers) / 100

    from edgegan.compress.costs import measured

    asked = []
    monkeypatch.setattr(
        measured, "device_predictor", lambda *given: asked.append(given[2]) or Linear()
    )
    settings = ["budget.bytes=null", "student.scale=0.5", "distill.steps=20"]
    run = compress(recipe_for(teacher, pictures, *settings, "budget.ms=2.2"), tmp_path / "run")
    found = run.student_figures()["budget"]
    assert asked == ["ms"]
    assert found["ms"] == 2.2
    assert 0.97 * 2.2 <= found["met_at"] <= 2.2
    assert len(read_config(run.folder / "student").spec["inner"]) == len(
        read_config(teacher).spec["inner"]
    )
    with pytest.raises(BudgetError, match="below the narrowest network"):
        compress(recipe_for(teacher, pictures, *settings, "budget.ms=0.6"), tmp_path / "low")
    with pytest.raises(ConfigError, match="nothing to prune"):
        compress(recipe_for(teacher, pictures, *settings, "budget.ms=60"), tmp_path / "high")


def test_phases_by_hand() -> None:
    slimming = Slim(prune_from=0.1, prune_until=0.5, prune_times=4, quantize_from=0.6)
    assert cut_steps(100, slimming) == {20: 0.25, 30: 0.5, 40: 0.75, 50: 1.0}
    assert int8_step(100, slimming) == 60
    paper = Slim(form="paper")
    assert cut_steps(100, paper) == {} and int8_step(100, paper) == 0
    assert int8_step(100, Slim(quantize="none")) == -1
