"""Stage 3: the student learns the teacher's cached outputs and features; killed at any moment, it resumes exactly."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgegan.compress.freeze import CROPS, freeze_step, hold_statistics, measure_statistics
from edgegan.compress.losses import (
    FeatureMaps,
    gradient_l1,
    lsgan_discriminator,
    lsgan_generator,
)
from edgegan.compress.teacher import load_input, recorder
from edgegan.config import Distill
from edgegan.console import progress, say
from edgegan.errors import TrainingError
from edgegan.files import read_json, write_atomic
from edgegan.metrics.quality import psnr
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec

LOG_EVERY = 50
QUICK_VALIDATION = 12


class Cache:
    """The teacher's cached arrays, read batch by batch from disk."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "cache.json")
        self.taps: list[str] = about["taps"]
        self.scales: list[float] = about["tap_mean_squares"]
        self.inputs = np.load(folder / "train_input.npy", mmap_mode="r")
        self.outputs = np.load(folder / "train_output.npy", mmap_mode="r")
        self.features = [
            np.load(folder / f"tap{i}.npy", mmap_mode="r") for i in range(len(self.taps))
        ]
        self.validation_inputs = np.load(folder / "validation_input.npy", mmap_mode="r")
        self.validation_outputs = np.load(folder / "validation_output.npy", mmap_mode="r")


@dataclass
class Batch:
    """Crops with what the teacher makes of them."""

    x: torch.Tensor
    teacher: torch.Tensor
    features: list[torch.Tensor]


def sample(
    cache: Cache, settings: Distill, flip: bool, seed: int, step: int, device: torch.device
) -> Batch:
    """The batch of one step: a function of seed and step alone, so that a resumed run sees what it would have seen."""
    count = len(cache.inputs)
    indices = []
    for position in range(step * settings.batch, (step + 1) * settings.batch):
        epoch, place = divmod(position, count)
        order = list(range(count))
        random.Random(f"order:{seed}:{epoch}").shuffle(order)
        indices.append(order[place])
    mirrored = [
        flip and random.Random(f"flip:{seed}:{step}:{i}").random() < 0.5
        for i in range(settings.batch)
    ]

    def gather(array: np.ndarray) -> np.ndarray:
        rows = [
            array[index][..., ::-1] if mirror else array[index]
            for index, mirror in zip(indices, mirrored, strict=True)
        ]
        return np.stack(rows)

    features = [torch.from_numpy(gather(array)).to(device).float() for array in cache.features]
    outputs = torch.from_numpy(gather(cache.outputs)).to(device).float()
    return Batch(load_input(gather(cache.inputs)).to(device), outputs, features)


@dataclass
class Trainer:
    """Everything a step changes, and so everything a checkpoint holds."""

    student: nn.Module
    maps: FeatureMaps | None
    optimizer: torch.optim.Optimizer
    judge: PatchDiscriminator | None
    judge_spec: PatchSpec | None
    judge_optimizer: torch.optim.Optimizer | None

    def state(self, step: int) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "step": step,
            "student": self.student.state_dict(),
            "maps": self.maps.state_dict() if self.maps else None,
            "optimizer": self.optimizer.state_dict(),
            "judge": self.judge.state_dict() if self.judge else None,
            "judge_optimizer": self.judge_optimizer.state_dict() if self.judge_optimizer else None,
        }

    def restore(self, state: dict[str, Any]) -> int:
        """Loads a checkpoint and returns the number of steps done."""
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.maps:
            self.maps.load_state_dict(state["maps"])
        if self.judge and self.judge_optimizer:
            self.judge.load_state_dict(state["judge"])
            self.judge_optimizer.load_state_dict(state["judge_optimizer"])
        return int(state["step"])


def make_trainer(
    student: nn.Module,
    cache: Cache,
    settings: Distill,
    judge: tuple[PatchSpec, PatchDiscriminator] | None,
    device: torch.device,
) -> Trainer:
    """Feature maps sized by one forward pass, and the optimisers (Adam)."""
    student.to(device)
    parameters = list(student.parameters())
    maps = None
    if cache.taps:
        shapes = tap_channels(student, cache.taps, cache.inputs.shape[1:], device)
        maps = FeatureMaps(
            shapes, [array.shape[1] for array in cache.features], cache.scales, settings.tap_pool
        ).to(device)
        parameters += list(maps.parameters())
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, betas=(0.9, 0.99))
    if judge is None:
        return Trainer(student, maps, optimizer, None, None, None)
    module = judge[1].to(device).train()
    judge_optimizer = torch.optim.Adam(
        module.parameters(), settings.discriminator_learning_rate, betas=(0.5, 0.999)
    )
    return Trainer(student, maps, optimizer, module, judge[0], judge_optimizer)


def tap_channels(
    student: nn.Module, taps: list[str], shape: tuple[int, ...], device: torch.device
) -> list[int]:
    """Channels of the student's outputs at the taps."""
    with hooked(student, taps) as recorded, torch.no_grad():
        was_training = student.training
        student.eval()(torch.zeros(1, *shape, device=device))
        student.train(was_training)
        return [recorded[name].shape[1] for name in taps]


class hooked:
    """Context in which a module's outputs at `names` are recorded; yields the dictionary."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        self.recorded: dict[str, torch.Tensor] = {}
        self.handles = [
            module.get_submodule(name).register_forward_hook(recorder(self.recorded, name))
            for name in names
        ]

    def __enter__(self) -> dict[str, torch.Tensor]:
        return self.recorded

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


def learning_rate(settings: Distill, step: int) -> float:
    """Linear warm-up, then a linear fall to zero at the last step."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    return settings.learning_rate * (
        1 - (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    )


def train_step(
    trainer: Trainer, recorded: dict[str, torch.Tensor], batch: Batch, settings: Distill
) -> dict[str, torch.Tensor]:
    """One student step, then one discriminator step when there is one; returns the terms."""
    output = trainer.student(batch.x)
    terms = {
        "l1": (output - batch.teacher).abs().mean(),
        "gradient": gradient_l1(output, batch.teacher),
    }
    loss = settings.l1_weight * terms["l1"] + settings.gradient_weight * terms["gradient"]
    if trainer.maps is not None:
        terms["feature"] = trainer.maps(list(recorded.values()), batch.features)
        loss = loss + settings.feature_weight * terms["feature"]
    if (
        trainer.judge is not None
        and trainer.judge_spec is not None
        and trainer.judge_optimizer is not None
    ):
        trainer.judge.requires_grad_(False)
        terms["gan"] = lsgan_generator(trainer.judge(judged(trainer.judge_spec, batch.x, output)))
        loss = loss + settings.gan_weight * terms["gan"]
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trainer.optimizer.step()
    if (
        trainer.judge is not None
        and trainer.judge_spec is not None
        and trainer.judge_optimizer is not None
    ):
        trainer.judge.requires_grad_(True)
        real = trainer.judge(judged(trainer.judge_spec, batch.x, batch.teacher))
        fake = trainer.judge(judged(trainer.judge_spec, batch.x, output.detach()))
        terms["discriminator"] = lsgan_discriminator(real, fake)
        trainer.judge_optimizer.zero_grad(set_to_none=True)
        terms["discriminator"].backward()
        trainer.judge_optimizer.step()
    return {"loss": loss, **terms}


def judged(spec: PatchSpec, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """What a discriminator sees: the image, beside the input when it is conditional."""
    return torch.cat([x, image], 1) if spec.conditional else image


def validate(student: nn.Module, cache: Cache, count: int, device: torch.device) -> float:
    """Mean PSNR in dB of the student to the teacher over the first `count` validation pictures."""
    was_training = student.training
    student.eval()
    with torch.inference_mode():
        values = [
            psnr(
                student(load_input(x[None]).to(device))[0].cpu().numpy(), np.asarray(y, np.float32)
            )
            for x, y in zip(
                cache.validation_inputs[:count], cache.validation_outputs[:count], strict=True
            )
        ]
    student.train(was_training)
    return float(np.mean(values))


def distill(
    student: nn.Module,
    cache: Cache,
    settings: Distill,
    judge: tuple[PatchSpec, PatchDiscriminator] | None,
    *,
    flip: bool,
    seed: int,
    folder: Path,
    metrics: Path,
    inputs: str,
    device: torch.device,
) -> None:
    """Trains the student in place. Appends to `metrics` (JSON lines) and keeps `folder`/checkpoint.pt up to date."""
    torch.manual_seed(seed)
    trainer = make_trainer(student, cache, settings, judge, device)
    checkpoint = folder / "checkpoint.pt"
    start = resume(trainer, checkpoint, inputs, device)
    keep_metrics(metrics, start)
    if start:
        say(f"resuming distillation at step {start}")
    student.train()
    last_saved = time.monotonic()
    frozen_from = freeze_step(settings)
    with hooked(student, cache.taps) as recorded, progress("distil", settings.steps, start) as bar:
        for step in range(start, settings.steps):
            rate = learning_rate(settings, step)
            for group in trainer.optimizer.param_groups:
                group["lr"] = rate
            if step == frozen_from:
                measure_statistics(student, load_input(cache.inputs[:CROPS]).to(device))
            if step >= frozen_from:
                hold_statistics(student)
            batch = sample(cache, settings, flip, seed, step, device)
            terms = train_step(trainer, recorded, batch, settings)
            done = step + 1
            if done % LOG_EVERY == 0 or done == settings.steps:
                values = {name: float(value.detach()) for name, value in terms.items()}
                check_finite(values, done, checkpoint)
                append(metrics, {"step": done, "learning_rate": rate, **values})
                bar.step(done, f"loss {values['loss']:.4f}")
            if done % settings.validate_every == 0 or done == settings.steps:
                quality = validate(student, cache, QUICK_VALIDATION, device)
                append(metrics, {"step": done, "validation_psnr_db": quality})
                bar.note = f"PSNR to teacher {quality:.2f} dB"
            if time.monotonic() - last_saved > settings.checkpoint_seconds:
                save_checkpoint(checkpoint, trainer, done, inputs)
                last_saved = time.monotonic()
    student.eval()


def save_checkpoint(path: Path, trainer: Trainer, step: int, inputs: str) -> None:
    """Writes the trainer's state atomically."""
    import io

    buffer = io.BytesIO()
    torch.save({"inputs": inputs, **trainer.state(step)}, buffer)
    write_atomic(path, buffer.getvalue())


def resume(trainer: Trainer, path: Path, inputs: str, device: torch.device) -> int:
    """Restores a checkpoint made from the same inputs; returns the step to go on from."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    return trainer.restore(state) if state.get("inputs") == inputs else 0


def check_finite(values: dict[str, float], step: int, checkpoint: Path) -> None:
    """Raises TrainingError naming the step and the term that is not a number."""
    for name, value in values.items():
        if not np.isfinite(value):
            kept = f"; the last good state is {checkpoint}" if checkpoint.is_file() else ""
            raise TrainingError(
                f"step {step}: the term '{name}' is {value}; lower distill.learning_rate or its weight{kept}"
            )


def append(path: Path, entry: dict[str, Any]) -> None:
    """Adds one JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Complete lines of a metrics file; a line cut short by a kill is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def keep_metrics(path: Path, step: int) -> None:
    """Drops entries after `step`: a resumed run writes them again."""
    entries = [entry for entry in read_metrics(path) if entry["step"] <= step]
    write_atomic(path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
