"""Time of a supernet step and of a candidate's evaluation, with the share of convolution kernels: `make bench-train`.

The teacher is CartoonGAN with random weights at 256x256; nothing here depends on what weights are.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from edgegan.channels.graph import trace_channels
from edgegan.channels.slicing import extract
from edgegan.compress.distill import Trainer, make_trainer, train_step
from edgegan.compress.inherited import Inherited
from edgegan.compress.search.fitness import Fitness
from edgegan.compress.search.supernet import Shared, genomes_of_step, share, supernet_step
from edgegan.compress.search.widths import width_space
from edgegan.compress.teacher.cache import Cache, sample
from edgegan.console import emit
from edgegan.files import write_json
from edgegan.metrics.quality import psnr
from edgegan.models.blocks import initialise
from edgegan.models.cartoon.network import CartoonGenerator, CartoonSpec
from edgegan.models.discriminator import PatchDiscriminator, PatchSpec
from edgegan.models.recording import hooked
from edgegan.package import ImageIO
from edgegan.recipe.distill_section import Distill
from edgegan.recipe.search_section import Supernet
from edgegan.training.lesson import Lesson
from edgegan.training.loop import Training
from edgegan.training.schedule import schedule_of
from edgegan.training.speed import Speed

SIZE, ROUNDS, IMAGES = 256, 7, 4
CPU = torch.device("cpu")
CONVOLUTIONS = (
    "mkldnn_convolution",
    "convolution_backward",
    "_slow_conv2d",
    "thnn_conv2d",
    "cudnn_convolution",
)


def main() -> None:
    """Prints ms with quartiles, and shares of pure convolution time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    teacher = CartoonGenerator(CartoonSpec()).eval()
    widest = CartoonSpec().scaled(0.5, 8, block="separable", norm="instance_affine")
    module = CartoonGenerator(widest)
    initialise(module)
    graph = trace_channels(module, torch.zeros(1, 3, 64, 64))
    space = width_space(graph, CartoonSpec, 0.25, 8)
    with tempfile.TemporaryDirectory() as folder:
        cache = random_cache(Path(folder), teacher.taps(), teacher)
        shared = share(module, graph, space, cache.taps)
        settings = Distill(gan_weight=0.01, feature_weight=1.0)
        spec = PatchSpec()
        trainer = make_trainer(
            module, cache, settings, Inherited((spec, PatchDiscriminator(spec))), CPU
        )
        bench_step(teacher, trainer, shared, cache)
        bench_candidate(shared, cache)
        bench_speed(cache)


def random_cache(folder: Path, taps: list[str], teacher: CartoonGenerator) -> Cache:
    """Arrays such as a teacher leaves, of a few random pictures."""
    chance = np.random.default_rng(0)
    for split in ("train", "validation", "search"):
        x = chance.integers(0, 256, (IMAGES, 3, SIZE, SIZE), np.uint8)
        np.save(folder / f"{split}_input.npy", x)
        np.save(folder / f"{split}_output.npy", x.astype(np.float16) / 128 - 1)
    with hooked(teacher, taps) as recorded, torch.inference_mode():
        teacher(torch.zeros(1, 3, SIZE, SIZE))
        for index, name in enumerate(taps):
            channels, side = recorded[name].shape[1], SIZE // 8
            values = chance.standard_normal((IMAGES, channels, side, side))
            np.save(folder / f"tap{index}.npy", values.astype(np.float16))
    about = {"input": ImageIO().model_dump(mode="json"), "taps": taps}
    write_json(folder / "cache.json", {**about, "tap_mean_squares": [1.0] * len(taps)})
    return Cache(folder)


def bench_step(teacher: CartoonGenerator, trainer: Trainer, shared: Shared, cache: Cache) -> None:
    """A step of teacher, three sub-networks and discriminator at batch 1, and its parts alone."""
    taps = cache.taps
    x = cache.load(cache.inputs[:1], CPU)
    genomes = genomes_of_step(shared.space, Supernet(), 0, 0)
    with hooked(teacher, taps) as wanted, hooked(shared.module, taps) as recorded:

        def look() -> Lesson:
            with torch.inference_mode():
                y = teacher(x)
                features = [torch.nn.functional.avg_pool2d(each, 2) for each in wanted.values()]
            return Lesson(x, y.clone(), [each.clone() for each in features])

        batch = look()

        def whole() -> None:
            supernet_step(trainer, shared, recorded, look(), genomes)

        def without_teacher() -> None:
            supernet_step(trainer, shared, recorded, batch, genomes)

        shared.module.train()
        times = interleaved({"whole": whole, "teacher": look, "cached": without_teacher})
        emit(
            f"step of teacher, {len(genomes)} sub-networks and discriminator: {spread(times['whole'])}"
        )
        emit(f"  teacher alone: {spread(times['teacher'])}")
        emit(f"  with the teacher's outputs cached: {spread(times['cached'])}")
        emit(f"  convolution kernels, whole step: {convolution_share(whole):.0%} of the time")
        emit(f"  convolution kernels, teacher cached: {convolution_share(without_teacher):.0%}")


def bench_candidate(shared: Shared, cache: Cache) -> None:
    """A candidate's evaluation beside plain forward passes of the extracted network and the metric alone."""
    plan = shared.space.plan(shared.space.uniform(0.6))
    alone = extract(shared.module, shared.graph, plan).eval()
    score = Fitness(shared, cache, "psnr", None, CPU)
    inputs = [cache.load(stored[None], CPU) for stored in cache.search_inputs]
    target = np.asarray(cache.search_outputs[0], np.float32)

    def forward() -> None:
        with torch.inference_mode():
            for x in inputs:
                alone(x)

    def metric() -> None:
        for _ in inputs:
            psnr(target, target + 0.1)

    times = interleaved({"score": lambda: score(plan), "forward": forward, "metric": metric})
    emit(f"evaluation of a candidate on {IMAGES} images: {spread(times['score'])}")
    emit(f"  forward passes of the extracted network: {spread(times['forward'])}")
    emit(f"  the metric alone: {spread(times['metric'])}")
    ratios = [
        (whole - measured) / passes for whole, passes, measured in zip(*times.values(), strict=True)
    ]
    emit(f"  (evaluation - metric) / forward: {statistics.median(ratios):.2f}")


def bench_speed(cache: Cache) -> None:
    """A distillation step of a separable student of 2.4 GMACs, plain, in bfloat16, compiled, and both."""
    spec = CartoonSpec().scaled(0.375, 8, block="separable", norm="instance_affine")
    kinds = {
        "float32": Speed(CPU),
        "bfloat16": Speed(CPU, bf16=True),
        "float32, compiled": Speed(CPU, compiled=True),
        "bfloat16, compiled": Speed(CPU, bf16=True, compiled=True),
    }
    settings = Distill(feature_weight=1.0)
    batch = sample(
        cache, settings, Training(Path(), Path(), "", CPU, schedule_of(settings), flip=True), 0
    )
    with ExitStack() as stack:
        steps: dict[str, Callable[[], object]] = {}
        for name, speed in kinds.items():
            student = CartoonGenerator(spec)
            initialise(student)
            trainer = make_trainer(student, cache, settings, Inherited(), CPU)
            recorded = stack.enter_context(hooked(student.train(), cache.taps))
            stack.enter_context(speed.attached(student))
            steps[name] = partial(train_step, trainer, recorded, batch)
        times = interleaved(steps)
    for name, found in times.items():
        ratios = [a / b for a, b in zip(times["float32"], found, strict=True)]
        emit(f"distillation step, {name}: {spread(found)}, {statistics.median(ratios):.2f}x faster")


def interleaved(work: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Milliseconds of each, round by round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(ROUNDS + 1):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            if turn:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def spread(times_ms: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(times_ms, n=4)
    return f"{middle:.0f} ms ({low:.0f} to {high:.0f})"


def convolution_share(call: Callable[[], object]) -> float:
    """The part of a call that is spent inside convolution kernels, forward and backward."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        call()
    rows = found.key_averages()
    total = sum(row.self_cpu_time_total for row in rows)
    inside = sum(
        row.self_cpu_time_total for row in rows if any(name in row.key for name in CONVOLUTIONS)
    )
    return inside / total


if __name__ == "__main__":
    main()
